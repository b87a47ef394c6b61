/* gwload: load client for chat-completion gateways, single thread, epoll.  gcc -O2 -o gwload gwload.c -lm
 * usage: gwload [-c CONNS] [-d SECS] [-w WARMUP_SECS] [-r RATE] [-s] [-k KEY] [-m MODEL] [-H 'Name: v']... URL
 *   closed loop: CONNS connections, each one request after another (keep-alive).
 *   -r RATE    : open loop, RATE requests/s evenly spaced; latency counts from the scheduled time.
 *   -s         : ask for SSE ("stream": true, include_usage); a stream counts only if it ended with [DONE].
 * prints one JSON line. lat = whole request; ttft = first body byte (streams: first event);
 * chunk_delay = upstream send -> client receive for chunks stamped @us@ by fakeup; gap = between events. ms. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}
typedef struct {
    float *v;
    size_t n, cap;
} Vec;
static void vadd(Vec *a, double x) {
    if (a->n == a->cap) {
        a->cap = a->cap ? a->cap * 2 : 4096;
        a->v = realloc(a->v, a->cap * 4);
    }
    a->v[a->n++] = x;
}
static int fc(const void *a, const void *b) {
    float x = *(float *)a, y = *(float *)b;
    return (x > y) - (x < y);
}
static double pct(Vec *a, double p) {
    if (!a->n)
        return -1;
    size_t i = p * a->n;
    if (i >= a->n)
        i = a->n - 1;
    return a->v[i];
}
static void pr(const char *nm, Vec *a) {
    qsort(a->v, a->n, 4, fc);
    double s = 0;
    for (size_t i = 0; i < a->n; i++)
        s += a->v[i];
    printf(",\"%s_ms\":{\"n\":%zu,\"mean\":%.3f,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f}", nm, a->n,
           a->n ? s / a->n : -1, pct(a, .5), pct(a, .9), pct(a, .99), a->n ? a->v[a->n - 1] : -1);
}
enum { IDLE, CONNECTING, WRITING, HEAD, BODY };
typedef struct {
    int fd, st;
    size_t woff;
    long long start;
    char h[16384];
    size_t hl;
    int status, chunked, close_;
    long left; /* content-length left; -1 until close */
    int cs;
    long csz;
    int done, got, events;
    long long lastev;
    char line[8192];
    size_t ll;
    long bytes;
} Conn;
static Conn *cs;
static int NC = 1, stream;
static char *req;
static size_t reql;
static struct sockaddr_in addr;
static int ep;
static Vec lat, ttft, gap, cdel;
static long long tstart, tmeas, tend;
static long total, ok, bad, incomplete, connerr, evs;
static char firstbad[600];
static int inflight, maxinfl;
static long stat_other;
static int lastbadstatus;
static int *idle, nidle;
static void arm(Conn *c, int ev, int op) {
    struct epoll_event e = {ev, {.u32 = c - cs}};
    epoll_ctl(ep, op, c->fd, &e);
}
static void reset(Conn *c) {
    c->hl = 0;
    c->status = 0;
    c->chunked = 0;
    c->close_ = 0;
    c->left = -1;
    c->cs = 0;
    c->csz = 0;
    c->done = 0;
    c->got = 0;
    c->events = 0;
    c->ll = 0;
    c->bytes = 0;
    c->woff = 0;
}
static void startreq(Conn *c, long long t);
static void drop(Conn *c) {
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}
static int OPEN;
static void finish(Conn *c, int good) {
    long long t = now_us();
    inflight--;
    int okr = good && c->status == 200 && (!stream || c->done);
    if (okr)
        total++;
    /* closed loop: what finishes inside the window counts (whenever it began); open loop: what was scheduled inside it
     */
    int in = OPEN ? c->start >= tmeas : (t >= tmeas && t <= tend);
    if (in) {
        if (okr) {
            ok++;
            evs += c->events;
            vadd(&lat, (t - c->start) / 1e3);
        } else if (c->status && c->status != 200) {
            bad++;
            lastbadstatus = c->status;
            if (!firstbad[0])
                snprintf(firstbad, sizeof firstbad, "%.300s", c->line);
        } else
            incomplete++;
    }
    if (!good || c->close_)
        drop(c);
    c->st = IDLE;
    if (OPEN)
        idle[nidle++] = c - cs;
    else if (t < tend)
        startreq(c, t);
}
static void dowrite(Conn *c) {
    while (c->woff < reql) {
        ssize_t r = write(c->fd, req + c->woff, reql - c->woff);
        if (r < 0) {
            if (errno == EAGAIN) {
                arm(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
                c->st = WRITING;
                return;
            }
            connerr++;
            drop(c);
            finish(c, 0);
            return;
        }
        c->woff += r;
    }
    if (c->st != HEAD && c->st != BODY) {
        if (c->st == WRITING || c->st == CONNECTING)
            arm(c, EPOLLIN, EPOLL_CTL_MOD);
        c->st = HEAD;
    }
}
static void startreq(Conn *c, long long t) {
    reset(c);
    c->start = t;
    c->lastev = 0;
    inflight++;
    if (inflight > maxinfl)
        maxinfl = inflight;
    if (c->fd < 0) {
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        int o = 1;
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &o, sizeof o);
        if (connect(c->fd, (void *)&addr, sizeof addr) && errno != EINPROGRESS) {
            connerr++;
            drop(c);
            inflight--;
            c->st = IDLE;
            if (OPEN)
                idle[nidle++] = c - cs;
            return;
        }
        c->st = CONNECTING;
        arm(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
    } else {
        c->st = IDLE;
        dowrite(c);
    }
}
static void feed(Conn *c, const char *b, size_t n, long long t) {
    int meas = t >= tmeas && t <= tend;
    c->bytes += n;
    if (!c->got && n) {
        c->got = 1;
        if (meas && !stream)
            vadd(&ttft, (t - c->start) / 1e3);
    }
    if (!stream || c->status != 200) {
        if (c->ll < sizeof c->line - 1) {
            size_t k = sizeof c->line - 1 - c->ll;
            if (k > n)
                k = n;
            memcpy(c->line + c->ll, b, k);
            c->ll += k;
            c->line[c->ll] = 0;
        }
        return;
    }
    while (n) {
        const char *e = memchr(b, '\n', n);
        size_t k = e ? (size_t)(e - b) : n;
        size_t m = k;
        if (c->ll + m >= sizeof c->line)
            m = sizeof c->line - 1 - c->ll;
        memcpy(c->line + c->ll, b, m);
        c->ll += m;
        c->line[c->ll] = 0;
        if (!e)
            return;
        b = e + 1;
        n -= k + 1;
        if (!strncmp(c->line, "data:", 5)) {
            if (strstr(c->line, "[DONE]"))
                c->done = 1;
            else {
                c->events++;
                if (c->events == 1) {
                    if (meas)
                        vadd(&ttft, (t - c->start) / 1e3);
                } else if (meas)
                    vadd(&gap, (t - c->lastev) / 1e3);
                c->lastev = t;
                char *p = strchr(c->line, '@');
                if (p && meas) {
                    long long s = atoll(p + 1);
                    if (s > 0)
                        vadd(&cdel, (t - s) / 1e3);
                }
            }
        }
        c->ll = 0;
    }
}
static void doread(Conn *c) {
    char b[65536];
    for (;;) {
        ssize_t r = read(c->fd, b, sizeof b);
        if (r < 0) {
            if (errno == EAGAIN)
                return;
            connerr++;
            drop(c);
            finish(c, 0);
            return;
        }
        if (r == 0) {
            int good = c->st == BODY && !c->chunked && c->left < 0;
            drop(c);
            finish(c, good);
            return;
        }
        long long t = now_us();
        char *p = b;
        size_t n = r;
        if (c->st == HEAD || c->st == WRITING) {
            size_t k = n;
            if (c->hl + k >= sizeof c->h)
                k = sizeof c->h - 1 - c->hl;
            memcpy(c->h + c->hl, p, k);
            size_t old = c->hl;
            c->hl += k;
            c->h[c->hl] = 0;
            char *e = strstr(c->h, "\r\n\r\n");
            if (!e) {
                if (r < (ssize_t)sizeof b)
                    return;
                continue;
            }
            size_t used = e + 4 - c->h - old;
            *(e + 2) = 0;
            c->status = atoi(c->h + 9);
            if (c->status == 100) {
                reset(c);
                c->woff = reql;
                return;
            }
            char *q = strcasestr(c->h, "\r\ncontent-length:");
            if (q)
                c->left = atol(q + 17);
            if ((q = strcasestr(c->h, "\r\ntransfer-encoding:")))
                c->chunked = 1;
            if ((q = strcasestr(c->h, "\r\nconnection: close")))
                c->close_ = 1;
            c->st = BODY;
            p += used;
            n -= used;
        }
        if (!c->chunked) {
            if (c->left >= 0 && (long)n > c->left)
                n = c->left;
            feed(c, p, n, t);
            if (c->left >= 0) {
                c->left -= n;
                if (c->left == 0) {
                    finish(c, 1);
                    return;
                }
            }
        } else
            while (n) {
                if (c->cs == 0) {
                    char ch = *p++;
                    n--;
                    if (ch == '\n') {
                        if (c->csz == 0)
                            c->cs = 3;
                        else
                            c->cs = 1;
                    } else if (ch == '\r' || c->cs == 9)
                        ;
                    else {
                        int v = ch >= '0' && ch <= '9'   ? ch - '0'
                                : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
                                : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                                         : -1;
                        if (v >= 0)
                            c->csz = c->csz * 16 + v;
                    }
                } else if (c->cs == 1) {
                    size_t k = n < (size_t)c->csz ? n : (size_t)c->csz;
                    feed(c, p, k, t);
                    p += k;
                    n -= k;
                    c->csz -= k;
                    if (!c->csz)
                        c->cs = 2;
                } else if (c->cs == 2) {
                    if (*p++ == '\n')
                        c->cs = 0;
                    n--;
                } else {
                    char ch = *p++;
                    n--;
                    if (ch == '\n') {
                        finish(c, 1);
                        return;
                    }
                }
            }
        if (r < (ssize_t)sizeof b)
            return;
    }
}
int main(int ac, char **av) {
    int o;
    double dur = 10, warm = 2, rate = 0;
    const char *key = "", *model = "fake";
    char hdr[4096] = "";
    const char *prompt = "Write one short sentence about a fox and a dog, please. Answer in plain English.";
    while ((o = getopt(ac, av, "c:d:w:r:sk:m:H:p:")) > 0)
        switch (o) {
        case 'c':
            NC = atoi(optarg);
            break;
        case 'd':
            dur = atof(optarg);
            break;
        case 'w':
            warm = atof(optarg);
            break;
        case 'r':
            rate = atof(optarg);
            OPEN = 1;
            break;
        case 's':
            stream = 1;
            break;
        case 'k':
            key = optarg;
            break;
        case 'm':
            model = optarg;
            break;
        case 'p':
            prompt = optarg;
            break;
        case 'H':
            strcat(hdr, optarg);
            strcat(hdr, "\r\n");
            break;
        default:
            return 2;
        }
    if (optind >= ac) {
        fprintf(stderr, "usage: see top of gwload.c\n");
        return 2;
    }
    char host[256] = "", path[2048] = "/";
    int port = 80;
    if (sscanf(av[optind], "http://%255[^:/]:%d%2047s", host, &port, path) < 2) {
        sscanf(av[optind], "http://%255[^:/]%2047s", host, path);
    }
    addr.sin_family = AF_INET;
    addr.sin_port = htons(port);
    if (!inet_aton(strcmp(host, "localhost") ? host : "127.0.0.1", &addr.sin_addr)) {
        fprintf(stderr, "host must be an IPv4 address\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    ep = epoll_create1(0);
    char body[16384];
    int bl = snprintf(body, sizeof body,
                      "{\"model\":\"%s\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful "
                      "assistant.\"},{\"role\":\"user\",\"content\":\"%s\"}],\"max_tokens\":100%s}",
                      model, prompt, stream ? ",\"stream\":true,\"stream_options\":{\"include_usage\":true}" : "");
    req = malloc(bl + 8192);
    reql = sprintf(req,
                   "POST %s HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/json\r\nAccept: %s\r\nUser-Agent: "
                   "gwload\r\n%s%s%s%sContent-Length: %d\r\n\r\n%s",
                   path, host, port, stream ? "text/event-stream" : "application/json",
                   *key ? "Authorization: Bearer " : "", key, *key ? "\r\n" : "", hdr, bl, body);
    if (OPEN && NC < 2000)
        NC = 2000;
    cs = calloc(NC, sizeof *cs);
    for (int i = 0; i < NC; i++)
        cs[i].fd = -1;
    idle = malloc(NC * sizeof(int));
    tstart = now_us();
    tmeas = tstart + warm * 1e6;
    tend = tmeas + dur * 1e6;
    long sched = 0;
    long dropped = 0;
    if (OPEN)
        for (int i = NC - 1; i >= 0; i--)
            idle[nidle++] = i;
    else
        for (int i = 0; i < NC; i++)
            startreq(&cs[i], now_us());
    struct epoll_event ev[512];
    for (;;) {
        long long t = now_us();
        struct timespec ts = {0, 100000000};
        if (OPEN) {
            long long nx;
            while ((nx = tstart + (long long)(sched * 1e6 / rate)) <= t && nx < tend) {
                sched++;
                if (nidle) {
                    startreq(&cs[idle[--nidle]], nx);
                } else
                    dropped++;
            }
            if (nx < tend) {
                long long d = nx - now_us();
                if (d < 0)
                    d = 0;
                if (d < 100000) {
                    ts.tv_nsec = d * 1000;
                }
            }
        }
        if (t > tend && (!OPEN || inflight == 0 || t > tend + 30000000LL))
            break;
        int n = epoll_pwait2(ep, ev, 512, &ts, 0);
        for (int i = 0; i < n; i++) {
            Conn *c = &cs[ev[i].data.u32];
            if (c->fd < 0)
                continue;
            if (c->st == IDLE) {
                if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                    drop(c);
                continue;
            }
            if (c->st == CONNECTING || c->st == WRITING) {
                if (ev[i].events & (EPOLLERR | EPOLLHUP)) {
                    connerr++;
                    drop(c);
                    inflight--;
                    c->st = IDLE;
                    if (OPEN)
                        idle[nidle++] = c - cs;
                    else {
                        usleep(1000);
                        if (now_us() < tend)
                            startreq(c, now_us());
                    }
                    continue;
                }
                if (ev[i].events & EPOLLOUT)
                    dowrite(c);
                if (c->fd < 0 || c->st == IDLE)
                    continue;
            }
            if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                doread(c);
        }
    }
    for (char *p = firstbad; *p; p++)
        if (*p == '"' || *p == '\\' || *p < 32)
            *p = '\'';
    printf("{\"url\":\"%s\",\"mode\":\"%s\",\"stream\":%d,\"conns\":%d,\"rate\":%.0f,\"secs\":%.1f,\"total\":%ld,"
           "\"ok\":%ld,\"per_s\":%.1f,\"events_per_s\":%.0f,\"ev_per_stream\":%.1f,\"bad\":%ld,\"incomplete\":%ld,"
           "\"connerr\":%ld,\"dropped\":%ld,\"max_inflight\":%d",
           av[optind], OPEN ? "open" : "closed", stream, OPEN ? 0 : NC, rate, dur, total, ok, ok / dur, evs / dur,
           ok ? (double)evs / ok : 0, bad, incomplete, connerr, dropped, maxinfl);
    pr("lat", &lat);
    pr("ttft", &ttft);
    if (stream)
        pr("gap", &gap);
    if (cdel.n)
        pr("chunk_delay", &cdel);
    if (firstbad[0])
        printf(",\"last_bad_status\":%d,\"first_bad\":\"%s\"", lastbadstatus, firstbad);
    printf("}\n");
    return 0;
}
