/* fakeup: fake OpenAI-style upstream, single thread, epoll.  gcc -O2 -o fakeup fakeup.c
 * usage: fakeup PORT[:FIRST_MS:CHUNK_MS] ... [-n NCHUNKS]
 *   One process may serve several ports.  A port given alone answers at once (canned);
 *   PORT:20:5 waits 20 ms before the first SSE chunk, then sends one chunk each 5 ms.
 * POST .../chat/completions   "stream": true  -> NCHUNKS SSE events + data: [DONE]
 *                             otherwise       -> one chat.completion JSON
 * POST .../audio/speech       -> 32 KiB of audio/mpeg bytes
 * POST .../images/generations -> JSON with a 64 KiB b64_json
 * GET  anything               -> {"object":"list","data":[]}
 * Each delayed content chunk carries its send time: "content":"@<CLOCK_MONOTONIC us>@ ",
 * so a client on the same machine can tell the delay of each chunk exactly. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

#define MAXC 65536
typedef struct {
    int port, first_us, gap_us, fd;
} Port;
typedef struct Conn {
    int used, fd;
    Port *p;
    char *in;
    size_t inlen, incap;
    char *out;
    size_t outlen, outoff, outcap;
    int chunk; /* -1: not streaming; else next chunk number */
    long long due;
    int wantw, closeafter;
} Conn;
static Conn *C[MAXC];
static int maxfd;
static Port ports[16];
static int nports;
static int NCH = 60;
static int ep;
static char *canned;
static size_t cannedlen;
static char *jsonr;
static size_t jsonrlen;
static char *audio;
static size_t audiolen;
static char *img;
static size_t imglen;

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static const char *W[] = {"The",  " quick", " brown", " fox",  " jumps", " over",  " the", " lazy",
                          " dog", ".",      " It",    " then", " rests", " under", " a",   " tree"};
#define PRE                                                                                                            \
    "data: "                                                                                                           \
    "{\"id\":\"chatcmpl-BfakeUpstream0123456789abcd\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"    \
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44added55e\","      \
    "\"choices\":["
static int event(char *b, size_t n, int i, int stamp) {
    if (i == 0)
        return snprintf(b, n,
                        PRE "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},"
                            "\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n");
    if (i == NCH - 2)
        return snprintf(
            b, n, PRE "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":null}\n\n");
    if (i == NCH - 1)
        return snprintf(
            b, n,
            PRE
            "],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":%d,\"total_tokens\":%d,\"prompt_tokens_details\":{"
            "\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_"
            "tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}\n\ndata: [DONE]\n\n",
            NCH - 3, NCH + 16);
    char w[64];
    if (stamp)
        snprintf(w, sizeof w, "@%lld@ ", now_us());
    else
        snprintf(w, sizeof w, "%s", W[i % 16]);
    return snprintf(
        b, n,
        PRE
        "{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n",
        w);
}
static void outadd(Conn *c, const char *s, size_t n) {
    if (c->outlen + n > c->outcap) {
        c->outcap = (c->outlen + n) * 2;
        c->out = realloc(c->out, c->outcap);
    }
    memcpy(c->out + c->outlen, s, n);
    c->outlen += n;
}
static void closec(Conn *c) {
    close(c->fd);
    C[c->fd] = 0;
    free(c->in);
    free(c->out);
    free(c);
}
static int flushc(Conn *c) {
    while (c->outoff < c->outlen) {
        ssize_t r = write(c->fd, c->out + c->outoff, c->outlen - c->outoff);
        if (r < 0) {
            if (errno == EAGAIN) {
                if (!c->wantw) {
                    struct epoll_event e = {EPOLLIN | EPOLLOUT, {.fd = c->fd}};
                    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
                    c->wantw = 1;
                }
                return 0;
            }
            closec(c);
            return -1;
        }
        c->outoff += r;
    }
    c->outoff = c->outlen = 0;
    if (c->wantw) {
        struct epoll_event e = {EPOLLIN, {.fd = c->fd}};
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
        c->wantw = 0;
    }
    if (c->closeafter && c->chunk < 0) {
        closec(c);
        return -1;
    }
    return 0;
}
static char *hfind(char *h, size_t n, const char *name) {
    size_t l = strlen(name);
    for (char *p = h; p + l < h + n;) {
        char *e = memchr(p, '\n', h + n - p);
        if (!e)
            return 0;
        p = e + 1;
        if ((size_t)(h + n - p) > l && !strncasecmp(p, name, l))
            return p + l;
    }
    return 0;
}
static const char SH[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: "
                         "no-cache\r\nx-request-id: req_fake\r\nTransfer-Encoding: chunked\r\n\r\n";
static void chunked(Conn *c, const char *s, size_t n) {
    char h[32];
    int k = snprintf(h, sizeof h, "%zx\r\n", n);
    outadd(c, h, k);
    outadd(c, s, n);
    outadd(c, "\r\n", 2);
}
static int handle(Conn *c) {
    for (;;) {
        if (c->chunk >= 0 || c->inlen < 4)
            return 0;
        char *e = memmem(c->in, c->inlen, "\r\n\r\n", 4);
        if (!e)
            return 0;
        size_t hl = e + 4 - c->in;
        long cl = 0;
        char *v = hfind(c->in, hl, "content-length:");
        size_t tot;
        char *te = hfind(c->in, hl, "transfer-encoding:");
        if (te) {
            char *z = memmem(c->in + hl - 2, c->inlen - hl + 2, "\r\n0\r\n\r\n", 7);
            if (!z)
                return 0;
            tot = z + 7 - c->in;
            cl = tot - hl;
        } else {
            if (v)
                cl = atol(v);
            if (c->inlen < hl + cl) {
                char *x = hfind(c->in, hl, "expect:");
                if (x && c->inlen == hl) {
                    outadd(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
                    return flushc(c);
                }
                return 0;
            }
            tot = hl + cl;
        }
        char *conn = hfind(c->in, hl, "connection:");
        c->closeafter = conn && strcasestr(conn, "close") && strcasestr(conn, "close") < strchr(conn, '\r');
        char *nl = memchr(c->in, '\r', hl);
        size_t l1 = nl - c->in;
        if (c->in[0] != 'P') {
            static const char g[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                                    "27\r\n\r\n{\"object\":\"list\",\"data\":[]}";
            outadd(c, g, sizeof g - 1);
        } else if (memmem(c->in, l1, "/audio/", 7))
            outadd(c, audio, audiolen);
        else if (memmem(c->in, l1, "/images/", 8))
            outadd(c, img, imglen);
        else {
            char *s = memmem(c->in + hl, cl, "\"stream\"", 8);
            int st = 0;
            if (s) {
                s += 8;
                while (*s == ' ' || *s == ':')
                    s++;
                st = *s == 't';
            }
            if (!st)
                outadd(c, jsonr, jsonrlen);
            else {
                outadd(c, SH, sizeof SH - 1);
                if (!c->p->first_us && !c->p->gap_us) {
                    outadd(c, canned, cannedlen);
                } else {
                    c->chunk = 0;
                    c->due = now_us() + c->p->first_us;
                }
            }
        }
        memmove(c->in, c->in + tot, c->inlen - tot);
        c->inlen -= tot;
        if (flushc(c) < 0)
            return -1;
    }
}
static void body(char **o, size_t *ol, const char *ct, const char *b, size_t n) {
    *o = malloc(n + 256);
    int k = sprintf(*o, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nx-request-id: req_fake\r\nContent-Length: %zu\r\n\r\n",
                    ct, n);
    memcpy(*o + k, b, n);
    *ol = k + n;
}
int main(int ac, char **av) {
    signal(SIGPIPE, SIG_IGN);
    ep = epoll_create1(0);
    for (int i = 1; i < ac; i++) {
        if (!strcmp(av[i], "-n")) {
            NCH = atoi(av[++i]);
            continue;
        }
        Port *p = &ports[nports++];
        double f = 0, g = 0;
        sscanf(av[i], "%d:%lf:%lf", &p->port, &f, &g);
        p->first_us = f * 1000;
        p->gap_us = g * 1000;
    }
    if (!nports) {
        fprintf(stderr, "usage: fakeup PORT[:FIRST_MS:CHUNK_MS] ... [-n NCHUNKS]\n");
        return 2;
    }
    {
        char *b = malloc(NCH * 700);
        size_t n = 0;
        for (int i = 0; i < NCH; i++) {
            char t[1024];
            int k = event(t, sizeof t, i, 0);
            n += sprintf(b + n, "%x\r\n", k);
            memcpy(b + n, t, k);
            n += k;
            n += sprintf(b + n, "\r\n");
        }
        n += sprintf(b + n, "0\r\n\r\n");
        canned = b;
        cannedlen = n;
    }
    {
        char txt[1024] = "", b[4096];
        for (int i = 0; i < 57; i++)
            strcat(txt, W[i % 16]);
        int n =
            sprintf(b,
                    "{\"id\":\"chatcmpl-BfakeUpstream0123456789abcd\",\"object\":\"chat.completion\",\"created\":"
                    "1700000000,\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                    "\"assistant\",\"content\":\"%s\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_"
                    "reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":57,\"total_tokens\":76,"
                    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{"
                    "\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_"
                    "tokens\":0}},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44added55e\"}",
                    txt);
        body(&jsonr, &jsonrlen, "application/json", b, n);
    }
    {
        char *b = malloc(32768);
        for (int i = 0; i < 32768; i++)
            b[i] = i * 31;
        body(&audio, &audiolen, "audio/mpeg", b, 32768);
        free(b);
    }
    {
        char *b = malloc(70000);
        int n = sprintf(b, "{\"created\":1700000000,\"data\":[{\"b64_json\":\"");
        memset(b + n, 'A', 65536);
        n += 65536;
        n += sprintf(b + n, "\"}],\"usage\":{\"input_tokens\":10,\"output_tokens\":1000,\"total_tokens\":1010}}");
        body(&img, &imglen, "application/json", b, n);
        free(b);
    }
    for (int i = 0; i < nports; i++) {
        int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), o = 1;
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &o, sizeof o);
        struct sockaddr_in a = {
            .sin_family = AF_INET, .sin_port = htons(ports[i].port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        if (bind(s, (void *)&a, sizeof a) || listen(s, 4096)) {
            perror("listen");
            return 1;
        }
        ports[i].fd = s;
        struct epoll_event e = {EPOLLIN, {.fd = s}};
        epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
        if (s > maxfd)
            maxfd = s;
    }
    struct epoll_event ev[512];
    for (;;) {
        long long n0 = now_us(), next = -1;
        for (int f = 0; f <= maxfd; f++) {
            Conn *c = C[f];
            if (!c || c->chunk < 0)
                continue;
            int dead = 0;
            while (c->due <= n0) {
                char t[1024];
                int k = event(t, sizeof t, c->chunk, 1);
                chunked(c, t, k);
                c->chunk++;
                c->due += c->p->gap_us;
                if (c->chunk == NCH) {
                    outadd(c, "0\r\n\r\n", 5);
                    c->chunk = -1;
                    if (flushc(c) < 0 || handle(c) < 0)
                        dead = 1;
                    break;
                }
                if (flushc(c) < 0) {
                    dead = 1;
                    break;
                }
            }
            if (!dead && c->chunk >= 0 && (next < 0 || c->due < next))
                next = c->due;
        }
        int to = -1;
        struct timespec ts;
        struct timespec *tp = 0;
        if (next >= 0) {
            long long d = next - now_us();
            if (d < 0)
                d = 0;
            if (d < 200)
                d = d;
            ts.tv_sec = d / 1000000;
            ts.tv_nsec = (d % 1000000) * 1000;
            tp = &ts;
        }
        (void)to;
        int n = epoll_pwait2(ep, ev, 512, tp, 0);
        for (int i = 0; i < n; i++) {
            int fd = ev[i].data.fd;
            Port *lp = 0;
            for (int j = 0; j < nports; j++)
                if (ports[j].fd == fd)
                    lp = &ports[j];
            if (lp) {
                int f;
                while ((f = accept4(fd, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    int o = 1;
                    setsockopt(f, IPPROTO_TCP, TCP_NODELAY, &o, sizeof o);
                    if (f >= MAXC) {
                        close(f);
                        continue;
                    }
                    Conn *c = calloc(1, sizeof *c);
                    c->fd = f;
                    c->p = lp;
                    c->chunk = -1;
                    C[f] = c;
                    if (f > maxfd)
                        maxfd = f;
                    struct epoll_event e = {EPOLLIN, {.fd = f}};
                    epoll_ctl(ep, EPOLL_CTL_ADD, f, &e);
                }
                continue;
            }
            Conn *c = C[fd];
            if (!c)
                continue;
            if (ev[i].events & EPOLLOUT) {
                if (flushc(c) < 0)
                    continue;
            }
            if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                int dead = 0;
                for (;;) {
                    if (c->inlen + 8192 > c->incap) {
                        c->incap = (c->inlen + 8192) * 2;
                        c->in = realloc(c->in, c->incap);
                    }
                    ssize_t r = read(fd, c->in + c->inlen, 8191);
                    if (r > 0) {
                        c->inlen += r;
                        c->in[c->inlen] = 0;
                        if (r < 8191)
                            break;
                        continue;
                    }
                    if (r < 0 && errno == EAGAIN)
                        break;
                    dead = 1;
                    break;
                }
                if (dead)
                    closec(c);
                else
                    handle(c);
            }
        }
    }
}
