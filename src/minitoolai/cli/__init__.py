"""The commands: `minitoolai …`. One file per family; each parses, calls and prints, nothing more."""
