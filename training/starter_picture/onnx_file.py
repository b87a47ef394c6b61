"""One torch module as one ONNX file: large weights in half precision, computed in single, nothing of the maker in it."""

from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

#: Weights of fewer numbers stay in single precision: constants of the graph, offsets, norms.
SMALLEST_HALF = 256
#: What the file may differ from torch, at most.
TOLERANCE = 1e-3

#: For each dimension that may change its name, or one with what it is a multiple of.
Axes = dict[int, Any]


def write_onnx(target: Path, module: nn.Module, inputs: dict[str, Tensor], axes: dict[str, Axes], output: str) -> None:
    """Writes the file; `inputs` are examples, `axes` their dimensions that may change."""
    program = torch.onnx.export(
        module.eval(),
        kwargs=inputs,
        input_names=list(inputs),
        output_names=[output],
        dynamic_shapes={name: axes.get(name, {}) for name in inputs},
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch gave no ONNX program")
    model = program.model_proto
    _forget(model)
    _halve(model.graph)
    onnx.checker.check_model(model)
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(target))


def difference(file: Path, module: nn.Module, inputs: dict[str, Tensor]) -> float:
    """Gives the largest difference between the file's output and torch's; raises ValueError above `TOLERANCE`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    given = session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
    with torch.no_grad():
        wanted = module(**inputs).numpy()
    found = float(numpy.abs(given - wanted).max())
    if given.shape != wanted.shape or not found <= TOLERANCE:
        raise ValueError(f"{file} differs from torch by {found}")
    return found


def _forget(model: onnx.ModelProto) -> None:
    """Removes the exporter's notes, which name files of the machine it ran on."""
    model.doc_string = ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]


def _halve(graph: onnx.GraphProto) -> None:
    """Stores large weights in half precision and widens them where the graph begins; onnxruntime folds that at load."""
    widened = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < SMALLEST_HALF:
            continue
        name, stored = weight.name, f"{weight.name}.half"
        weight.CopyFrom(numpy_helper.from_array(values.astype(numpy.float16), stored))
        widened.append(helper.make_node("Cast", [stored], [name], name=f"{name}.widen", to=TensorProto.FLOAT))
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
