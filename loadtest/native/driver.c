/* driver: an epoll load generator for WebSocket gateways, one thread, loopback only.
 *
 *   driver load    --port P [--rate R [--abuse KIND]]   request and reply: each reply is answered by the next message
 *   driver push    --port P --internal-port Q           messages by POST to {--push-prefix}{connection id}
 *   driver get     --port P                             GETs of --path, one at a time on each of --connections
 *   driver connect --port P                             opens --connections sockets, drops them, again, for --seconds
 *   driver idle    --port P                             opens --connections sockets and holds them until stdin ends
 *
 * Prints one JSON object (idle: one line when all are open, one at the end). CPU seconds of the servers named by --pids
 * are read from /proc at both ends of the measured window. A failed set-up is one line on stderr and exit status 1.
 *
 * With --rate the messages are paced (open loop) and every one must be answered; otherwise --depth messages are kept in
 * flight on each connection (closed loop). --abuse adds one misbehaving peer beside them:
 *   slow-client   sends 16 KiB messages without a pause and never reads a reply
 *   flood         sends small messages without waiting for replies
 *   garbage       opens a connection, sends a malformed frame, reads to the end, again
 *   pipeline      sends GETs on one HTTP connection without waiting for answers, and reads them
 *   pipeline-deaf sends GETs on one HTTP connection and never reads an answer
 *   slow-backend  keeps 64 messages in flight to a route whose backend never answers
 *   dead-backend  keeps 16 messages in flight to a route whose backend refuses connections
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PIDS = 512, RING = 1024, MAX_MESSAGE = 1 << 20, READ_CHUNK = 256 * 1024, SETUP_SECONDS = 90 };

/* RFC 6455's sample nonce and the answer to it: the key is constant, so the answer can be compared. */
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

typedef struct {
    char *data;
    size_t len, cap;
} buffer;

typedef struct conn {
    int fd; /* -1 once gone */
    enum { CLIENT, POSTER, ABUSER, TICKER } kind;
    enum { HANDSHAKE, NAMING, OPEN } state; /* NAMING: waits for its connection id */
    buffer rest;                            /* an incomplete frame or answer */
    buffer out;                             /* what the socket did not take yet */
    unsigned events;                        /* what epoll watches */
    int watched;                            /* epoll knows it */
    uint64_t started;                       /* handshake or POST began */
    uint64_t *sent;                         /* ring: when the unanswered messages were sent */
    unsigned head, tail;
    char *post_head; /* the request head that addresses this client */
    size_t post_head_len;
    int busy;
} conn;

static struct {
    const char *mode, *path, *push_prefix, *action, *expect, *abuse;
    int port, internal_port, connections, depth, size, posters, opening;
    double seconds, warmup, rate;
    int pids[MAX_PIDS], pid_count;
} opt = {.path = "/dev", .push_prefix = "/dev/@connections/", .action = "send", .connections = 64, .depth = 1,
         .size = 64, .posters = 64, .opening = 64, .seconds = 5, .warmup = 1};

static int poller;
static conn *clients, *posters, abuser, ticker;
static int started, opened, alive;
static int measuring, stopped; /* inside the window; no new messages */
static uint64_t completed, errors, accepted, delivered; /* the last two from the start, to find lost pushes */
static char inbox[MAX_MESSAGE + READ_CHUNK + 64], first_error[160];
static char *message, *body, *scratch; /* the frame each client sends; the body each POST carries */
static size_t message_len, body_len;
static char *abuse_message;
static size_t abuse_len;
static uint64_t abuse_again;
static uint64_t *abuses; /* shared by the abuser's process and ours */
static int abuse_start[2], abuser_pid;

/* -- time, CPU, latency ------------------------------------------------------------------------------------------ */

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("driver: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double server_cpu(void) {
    double total = 0;
    for (int i = 0; i < opt.pid_count; i++) {
        char path[64], text[1024];
        snprintf(path, sizeof path, "/proc/%d/stat", opt.pids[i]);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        size_t n = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[n] = 0;
        unsigned long user, system;
        char *after_name = strrchr(text, ')'); /* proc(5): the name may hold anything, so count fields behind it */
        if (after_name && sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2)
            total += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    }
    return total;
}

static double own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* A log-linear histogram of latencies in units of 100 ns: 128 steps an octave, so values are right to 0.8 %. */
enum { STEPS = 128, OCTAVES = 40 };
static uint64_t histogram[OCTAVES * STEPS], recorded, slowest;

static void record(uint64_t ns) {
    uint64_t v = ns / 100;
    int octave = v < STEPS ? 0 : 63 - __builtin_clzll(v) - 6;
    histogram[octave ? octave * STEPS + (int)((v >> (octave - 1)) - STEPS) : (int)v]++;
    recorded++;
    if (ns > slowest) slowest = ns;
}

static double percentile_us(double share) {
    uint64_t wanted = (uint64_t)(share * (double)recorded), seen = 0;
    for (int i = 0; i < OCTAVES * STEPS; i++) {
        seen += histogram[i];
        if (seen > wanted || (seen == recorded && seen)) {
            int octave = i / STEPS;
            return (octave ? (double)((uint64_t)(i % STEPS + STEPS) << (octave - 1)) : (double)i) / 10.0;
        }
    }
    return 0;
}

static void error_seen(const char *what, const char *text, size_t n) {
    errors++;
    if (first_error[0]) return;
    int length = snprintf(first_error, sizeof first_error, "%s: %.*s", what, (int)(n > 90 ? 90 : n), text);
    for (int i = 0; i < length && i < (int)sizeof first_error; i++) /* it goes into a JSON string */
        if (first_error[i] == '"' || first_error[i] == '\\') first_error[i] = '\'';
        else if ((unsigned char)first_error[i] < 32 || (unsigned char)first_error[i] > 126) first_error[i] = ' ';
    first_error[sizeof first_error - 1] = 0;
}

/* -- sockets ----------------------------------------------------------------------------------------------------- */

static void append(buffer *b, const char *data, size_t n) {
    if (b->len + n > b->cap) {
        b->cap = (b->len + n) * 2;
        b->data = realloc(b->data, b->cap);
        if (!b->data) die("out of memory");
    }
    memcpy(b->data + b->len, data, n);
    b->len += n;
}

static void release(buffer *b) {
    free(b->data);
    *b = (buffer){0};
}

static void watch(conn *c, unsigned events) {
    if (c->watched && events == c->events) return;
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e)) die("epoll_ctl: %s", strerror(errno));
    c->events = events;
    c->watched = 1;
}

static void dial(conn *c, int port, int small_buffers) {
    int one = 1, small = 16384;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket: %s (is the limit of open files too low?)", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (small_buffers) {
        setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect to port %d: %s", port, strerror(errno));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->watched = 0;
    watch(c, EPOLLIN);
}

/* Close with a reset: no TIME_WAIT, so a port is free again for the next round. */
static void drop(conn *c) {
    if (c->fd < 0) return;
    struct linger reset = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(c->fd);
    c->fd = -1;
    release(&c->rest);
    release(&c->out);
}

static void flush(conn *c) {
    size_t done = 0;
    while (done < c->out.len) {
        ssize_t n = write(c->fd, c->out.data + done, c->out.len - done);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR) done = c->out.len; /* the reader will see the end */
            break;
        }
        done += (size_t)n;
    }
    memmove(c->out.data, c->out.data + done, c->out.len - done);
    c->out.len -= done;
    watch(c, (c->events & ~(unsigned)EPOLLOUT) | (c->out.len ? EPOLLOUT : 0));
}

static void send_bytes(conn *c, const char *data, size_t n) {
    if (!c->out.len) {
        ssize_t written = write(c->fd, data, n);
        if (written == (ssize_t)n) return;
        if (written < 0 && errno != EAGAIN && errno != EINTR) return;
        if (written > 0) data += written, n -= (size_t)written;
    }
    append(&c->out, data, n);
    watch(c, c->events | EPOLLOUT);
}

/* -- messages ---------------------------------------------------------------------------------------------------- */

static size_t put_frame(char *out, int opcode, const char *payload, size_t n) {
    static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t h = 0;
    out[h++] = (char)(0x80 | opcode);
    if (n < 126) {
        out[h++] = (char)(0x80 | n);
    } else if (n < 65536) {
        out[h++] = (char)(0x80 | 126);
        out[h++] = (char)(n >> 8);
        out[h++] = (char)n;
    } else {
        out[h++] = (char)(0x80 | 127);
        for (int shift = 56; shift >= 0; shift -= 8) out[h++] = (char)((uint64_t)n >> shift);
    }
    memcpy(out + h, mask, 4);
    h += 4;
    for (size_t i = 0; i < n; i++) out[h + i] = (char)(payload[i] ^ mask[i & 3]);
    return h + n;
}

/* {"action":"…","t":"<16 hex digits>","d":"xxx…"}, padded to `size` bytes. */
static size_t put_payload(char *out, const char *action, int size) {
    size_t n = (size_t)sprintf(out, "{\"action\":\"%s\",\"t\":\"%016x\",\"d\":\"", action, 0);
    while (n + 2 < (size_t)size) out[n++] = 'x';
    n += (size_t)sprintf(out + n, "\"}");
    return n;
}

static uint64_t stamp_in(const char *payload, size_t n) {
    const char *at = memmem(payload, n, "\"t\":\"", 5);
    uint64_t value = 0;
    if (!at || at + 21 > payload + n) return 0;
    for (int i = 0; i < 16; i++) value = value * 16 + (uint64_t)(at[5 + i] <= '9' ? at[5 + i] - '0' : at[5 + i] - 'a' + 10);
    return value;
}

static void send_messages(conn *c, int count) {
    if (count == 1) {
        if (c->head - c->tail >= RING) { /* paced only: this connection is a thousand answers behind */
            error_seen("unanswered", "", 0);
            return;
        }
        c->sent[c->head++ % RING] = now_ns();
        send_bytes(c, message, message_len);
        return;
    }
    uint64_t now = now_ns();
    for (int i = 0; i < count; i++) {
        c->sent[c->head++ % RING] = now;
        memcpy(scratch + (size_t)i * message_len, message, message_len);
    }
    send_bytes(c, scratch, (size_t)count * message_len);
}

static int getting(void) { return !strcmp(opt.mode, "get"); }

static void send_get(conn *poster) {
    poster->started = now_ns();
    poster->busy = 1;
    send_bytes(poster, message, message_len);
}

static void send_post(conn *poster) {
    if (getting()) {
        send_get(poster);
        return;
    }
    static unsigned random = 12345;
    conn *client;
    do {
        random ^= random << 13, random ^= random >> 17, random ^= random << 5;
        client = &clients[random % (unsigned)opt.connections];
    } while (client->fd < 0);
    char stamp[17];
    poster->started = now_ns();
    sprintf(stamp, "%016llx", (unsigned long long)poster->started);
    memcpy((char *)memmem(body, body_len, "\"t\":\"", 5) + 5, stamp, 16);
    memcpy(scratch, client->post_head, client->post_head_len);
    memcpy(scratch + client->post_head_len, body, body_len);
    poster->busy = 1;
    send_bytes(poster, scratch, client->post_head_len + body_len);
}

/* -- WebSocket clients ------------------------------------------------------------------------------------------- */

static void send_handshake(conn *c) {
    char request[8192];
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: " WS_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
                     opt.path, opt.port);
    if (n >= (int)sizeof request) die("--path is too long");
    c->state = HANDSHAKE;
    c->started = now_ns();
    send_bytes(c, request, (size_t)n);
}

static void start_client(conn *c) {
    c->kind = CLIENT;
    dial(c, opt.port, 0);
    send_handshake(c);
}

static void client_ready(conn *c) {
    c->state = OPEN;
    opened++;
    alive++;
    if (started < opt.connections) start_client(&clients[started++]);
}

static void learn_id(conn *c, const char *id, size_t n) {
    if (n < 1 || n > 200 || *id == '{') die("the whoami route answered %.*s", (int)n, id);
    char quoted[1024], *o = quoted;
    for (size_t i = 0; i < n; i++)
        o += strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", id[i])
                 ? sprintf(o, "%c", id[i])
                 : sprintf(o, "%%%02X", (unsigned char)id[i]);
    *o = 0;
    c->post_head_len = (size_t)asprintf(&c->post_head,
                                        "POST %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                                        "Content-Length: %zu\r\n\r\n",
                                        opt.push_prefix, quoted, opt.internal_port, body_len);
    client_ready(c);
}

static void lose(conn *c, const char *why, const char *text, size_t n) {
    if (c->state == HANDSHAKE && strcmp(opt.mode, "connect")) die("handshake refused: %.*s", (int)n, text);
    if (c->state == NAMING) die("closed while asking for its connection id");
    error_seen(why, text, n);
    if (c->state == OPEN) alive--;
    drop(c);
    if (c->state == HANDSHAKE) {
        if (errors > (uint64_t)opt.connections) die("too many refused handshakes: %s", first_error);
        start_client(c);
    } else if (!alive && strcmp(opt.mode, "idle")) {
        die("the server closed every connection: %s", first_error);
    }
}

static void on_reply(conn *c, const char *payload, size_t n) {
    if (c->state == NAMING) {
        learn_id(c, payload, n);
        return;
    }
    if (opt.expect && !memmem(payload, n, opt.expect, strlen(opt.expect))) error_seen("unexpected reply", payload, n);
    if (posters) { /* a push: its time of sending is in it */
        uint64_t stamp = stamp_in(payload, n);
        delivered++;
        if (!measuring) return;
        completed++;
        if (stamp) record(now_ns() - stamp);
        else error_seen("a push without its stamp", payload, n);
    } else if (c->head != c->tail) {
        uint64_t sent_at = c->sent[c->tail++ % RING];
        if (measuring || (stopped && opt.rate > 0)) {
            completed++;
            record(now_ns() - sent_at);
        }
    } else {
        error_seen("a reply nobody asked for", payload, n);
    }
}

/* Frames in data[0:n]; the number of bytes used. */
static size_t on_frames(conn *c, const char *data, size_t n) {
    size_t at = 0;
    int replies = 0;
    while (n - at >= 2) {
        const unsigned char *b = (const unsigned char *)data + at;
        uint64_t length = b[1] & 127;
        size_t h = length == 126 ? 4 : length == 127 ? 10 : 2;
        if (n - at < h) break;
        if (h > 2) {
            length = 0;
            for (size_t i = 2; i < h; i++) length = length << 8 | b[i];
        }
        if (length > MAX_MESSAGE) die("a frame of %llu bytes", (unsigned long long)length);
        if (n - at < h + length) break;
        const char *payload = data + at + h;
        at += h + length;
        switch (b[0] & 15) {
        case 1:
        case 2:
            if (c->kind == CLIENT) {
                on_reply(c, payload, length);
                replies++;
            } else if (abuse_message && strcmp(opt.abuse, "flood")) {
                send_bytes(c, abuse_message, abuse_len); /* an answer makes room for one more */
                ++*abuses;
            }
            break;
        case 8:
            if (c->kind == CLIENT) lose(c, "closed by the server", payload + (length > 2 ? 2 : 0), length > 2 ? length - 2 : 0);
            else drop(c);
            return n;
        case 9: {
            char pong[160];
            if (length < 126) send_bytes(c, pong, put_frame(pong, 10, payload, length));
        }
        }
    }
    if (replies && c->state == OPEN && c->fd >= 0 && !posters && !stopped && opt.rate <= 0 && c->head - c->tail < RING && c->sent)
        send_messages(c, replies);
    return at;
}

static size_t on_handshake_answer(conn *c, const char *data, size_t n) {
    const char *end = memmem(data, n, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t used = (size_t)(end - data) + 4;
    if (strncmp(data, "HTTP/1.1 101", 12) || !memmem(data, used, WS_ACCEPT, strlen(WS_ACCEPT))) {
        if (c->kind == ABUSER) drop(c);
        else lose(c, "handshake refused", data, n);
        return n;
    }
    if (c->kind == ABUSER) {
        c->state = OPEN;
        return used;
    }
    if (measuring && !strcmp(opt.mode, "connect")) {
        completed++;
        record(now_ns() - c->started);
    }
    if (posters) {
        char frame[64];
        static const char question[] = "{\"action\":\"whoami\"}";
        c->state = NAMING;
        send_bytes(c, frame, put_frame(frame, 1, question, sizeof question - 1));
    } else {
        client_ready(c);
    }
    return used;
}

/* -- HTTP posters ------------------------------------------------------------------------------------------------ */

static size_t on_http_answer(conn *c, const char *data, size_t n) {
    const char *end = memmem(data, n, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t used = (size_t)(end - data) + 4;
    unsigned long length = 0;
    int chunked = 0;
    for (const char *line = data; line < end; line++) {
        if (!strncasecmp(line, "content-length:", 15)) length = strtoul(line + 15, NULL, 10);
        else if (!strncasecmp(line, "transfer-encoding:", 18)) chunked = 1;
        line = memchr(line, '\n', (size_t)(end + 2 - line));
        if (!line) break;
    }
    if (chunked) {
        const char *last = memmem(end + 2, n - used + 2, "\r\n0\r\n\r\n", 7);
        if (!last) return 0;
        used = (size_t)(last - data) + 7;
    } else {
        used += length;
        if (n < used) return 0;
    }
    c->busy = 0;
    if (data[9] != '2') error_seen(getting() ? "GET answered" : "POST answered", data, used);
    else if (!getting()) accepted++;
    if (getting() && opt.expect && !memmem(data, used, opt.expect, strlen(opt.expect))) error_seen("unexpected answer", data, used);
    if (getting() && measuring) {
        completed++;
        record(now_ns() - c->started);
    }
    if (!stopped) send_post(c);
    return used;
}

/* -- the abuser -------------------------------------------------------------------------------------------------- */

static int is_abuse(const char *kind) { return opt.abuse && !strcmp(opt.abuse, kind); }

static int pipelines(void) { return is_abuse("pipeline") || is_abuse("pipeline-deaf"); }

/* Whether it writes whenever it may. */
static int never_waits(void) { return is_abuse("flood") || is_abuse("slow-client") || pipelines(); }

static void start_abuser(void) {
    abuser.kind = ABUSER;
    abuse_again = now_ns() + 10000000; /* a new connection at most every 10 ms */
    dial(&abuser, opt.port, !is_abuse("pipeline"));
    if (pipelines()) {
        abuser.state = OPEN;
        watch(&abuser, is_abuse("pipeline") ? EPOLLIN | EPOLLOUT : EPOLLOUT);
    } else {
        send_handshake(&abuser);
    }
}

/* Called when the abuser may write; never more than 16 KiB, 32 messages or 256 GETs, to keep this loop's own turns short. */
static void abuse_now(void) {
    if (is_abuse("flood") || pipelines()) {
        size_t n = 0;
        int many = pipelines() ? 256 : 32;
        for (int i = 0; i < many; i++, n += abuse_len) memcpy(scratch + n, abuse_message, abuse_len);
        send_bytes(&abuser, scratch, n);
        *abuses += (uint64_t)many;
    } else if (is_abuse("slow-client")) {
        send_bytes(&abuser, abuse_message, abuse_len);
        ++*abuses;
    }
}

static void abuser_opened(void) {
    if (is_abuse("garbage")) {
        send_bytes(&abuser, "\x81\x03" "abc", 5); /* RFC 6455 §5.1: an unmasked frame fails the connection, 1002 */
        ++*abuses;
    } else if (is_abuse("slow-client")) {
        watch(&abuser, EPOLLOUT); /* and never EPOLLIN again */
    } else if (is_abuse("flood")) {
        watch(&abuser, EPOLLIN | EPOLLOUT);
    } else {
        int in_flight = is_abuse("dead-backend") ? 16 : 64;
        for (int i = 0; i < in_flight; i++) send_bytes(&abuser, abuse_message, abuse_len);
        *abuses += (uint64_t)in_flight;
    }
}

/* -- the loop ---------------------------------------------------------------------------------------------------- */

static void on_end(conn *c) {
    if (c->kind == ABUSER) {
        drop(c);
    } else if (c->kind == CLIENT) {
        lose(c, "connection ended", "", 0);
    } else { /* a keep-alive connection may end, but not under a request */
        if (c->busy) error_seen("a request got no answer", "", 0);
        drop(c);
        dial(c, opt.internal_port, 0);
        if (!stopped) send_post(c);
    }
}

static void on_readable(conn *c) {
    size_t have = c->rest.len;
    memcpy(inbox, c->rest.data ? c->rest.data : "", have);
    ssize_t got = read(c->fd, inbox + have, READ_CHUNK);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        on_end(c);
        return;
    }
    if (c->kind == ABUSER && pipelines()) return;
    size_t n = have + (size_t)got, used = 0;
    inbox[n] = 0;
    if (c->kind == POSTER) {
        used = on_http_answer(c, inbox, n);
    } else {
        if (c->state == HANDSHAKE) {
            used = on_handshake_answer(c, inbox, n);
            if (c->kind == ABUSER && c->fd >= 0 && c->state == OPEN) abuser_opened();
        }
        if (c->fd >= 0 && c->state != HANDSHAKE && used < n) used += on_frames(c, inbox + used, n - used);
    }
    if (c->fd < 0) return;
    c->rest.len = 0;
    if (used < n) append(&c->rest, inbox + used, n - used);
    else if (c->rest.cap) release(&c->rest);
}

static void on_tick(void) {
    static unsigned next;
    uint64_t ticks;
    if (read(ticker.fd, &ticks, sizeof ticks) != sizeof ticks || stopped) return;
    for (ticks = ticks > 1000 ? 1000 : ticks; ticks; ticks--) {
        conn *c = &clients[next++ % (unsigned)opt.connections];
        if (c->fd >= 0) send_messages(c, 1);
    }
}

static void pump(int timeout_ms) {
    struct epoll_event events[512];
    int n = epoll_wait(poller, events, 512, timeout_ms);
    for (int i = 0; i < n; i++) {
        conn *c = events[i].data.ptr;
        unsigned e = events[i].events;
        if (c->fd < 0) continue;
        if (c->kind == TICKER) {
            on_tick();
        } else {
            if (e & EPOLLOUT) {
                if (c->out.len) flush(c);
                if (c->kind == ABUSER && !c->out.len && c->state == OPEN && !stopped) {
                    abuse_now();
                    if (never_waits()) watch(c, c->events | EPOLLOUT);
                }
            }
            if (e & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                if (c->kind == ABUSER && !(e & EPOLLIN)) drop(c);
                else on_readable(c);
            }
        }
    }
}

static void pump_for(double seconds) {
    for (uint64_t end = now_ns() + (uint64_t)(seconds * 1e9); now_ns() < end;) pump(10);
}

static void open_all(void) {
    uint64_t deadline = now_ns() + SETUP_SECONDS * 1000000000ull;
    started = opened = alive = 0;
    while (started < opt.connections && started < opt.opening) start_client(&clients[started++]);
    while (opened < opt.connections) {
        pump(100);
        if (now_ns() > deadline) die("only %d of %d connections open after %d s", opened, opt.connections, SETUP_SECONDS);
    }
}

/* Wait until the servers have used no CPU for 60 ms, at most this long. */
static void wait_quiet(int seconds) {
    double before = server_cpu();
    for (int calm = 0, turns = 0; calm < 3 && turns < seconds * 50; turns++) {
        pump_for(0.02);
        double now = server_cpu();
        calm = now > before ? 0 : calm + 1;
        before = now;
    }
}

static void print_result(double wall, double cpu, double own) {
    printf("{\"completed\": %llu, \"seconds\": %.4f, \"server_cpu\": %.4f, \"driver_cpu\": %.4f, \"errors\": %llu, \"first_error\": \"%s\", "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, \"abuses\": %llu}\n",
           (unsigned long long)completed, wall, cpu, own, (unsigned long long)errors, first_error, percentile_us(.5),
           percentile_us(.99), percentile_us(.999), (double)slowest / 1e3, abuses ? (unsigned long long)*abuses : 0);
}

/* -- modes ------------------------------------------------------------------------------------------------------- */

static uint64_t unanswered(void) {
    uint64_t count = posters && accepted > delivered ? accepted - delivered : 0;
    for (int i = 0; i < opt.connections; i++) count += clients[i].head - clients[i].tail;
    return count;
}

/* What was sent must be answered, and what was accepted delivered, at most a second late; what is not is an error. */
static void wait_for_the_rest(void) {
    uint64_t missing;
    for (uint64_t end = now_ns() + 1000000000ull; (missing = unanswered()) && now_ns() < end;) pump(10);
    errors += missing;
    if (missing && !first_error[0]) strcpy(first_error, posters ? "pushes accepted, not delivered" : "messages without an answer");
    if (opt.rate > 0) /* else a server that starves its clients would have a fine p99 */
        for (int i = 0; i < opt.connections; i++)
            while (clients[i].tail != clients[i].head) record(now_ns() - clients[i].sent[clients[i].tail++ % RING]);
}

/* The abuser has a process of its own, under the ordinary scheduler: it costs the driver nothing it would measure. */
static void prepare_abuser(void) {
    abuses = mmap(NULL, sizeof *abuses, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (abuses == MAP_FAILED || pipe2(abuse_start, O_CLOEXEC)) die("the abuser: %s", strerror(errno));
    abuser_pid = fork();
    if (abuser_pid < 0) die("fork: %s", strerror(errno));
    if (abuser_pid) return;
    struct sched_param ordinary = {0};
    char go;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sched_setscheduler(0, SCHED_OTHER, &ordinary);
    close(poller); /* the driver's */
    poller = epoll_create1(EPOLL_CLOEXEC);
    close(abuse_start[1]);
    if (read(abuse_start[0], &go, 1) != 1) _exit(0);
    for (;;) {
        if (abuser.fd < 0 && now_ns() >= abuse_again) start_abuser();
        pump(1);
    }
}

static void run_load(void) {
    int push = !strcmp(opt.mode, "push");
    wait_quiet(10); /* what an earlier run left behind is not ours */
    if (opt.abuse) prepare_abuser();
    if (getting()) opt.posters = opt.connections, opt.connections = 0, opt.internal_port = opt.port;
    if (push || getting()) posters = calloc((size_t)opt.posters, sizeof *posters);
    open_all();
    if (posters) {
        for (int i = 0; i < opt.posters; i++) {
            posters[i].kind = POSTER;
            dial(&posters[i], opt.internal_port, 0);
            send_post(&posters[i]);
        }
    } else {
        for (int i = 0; i < opt.connections; i++) clients[i].sent = calloc(RING, sizeof(uint64_t));
        if (opt.rate > 0) {
            struct itimerspec every = {0};
            double gap = 1e9 / opt.rate;
            every.it_interval.tv_sec = every.it_value.tv_sec = (time_t)(gap / 1e9);
            every.it_interval.tv_nsec = every.it_value.tv_nsec = (long)gap % 1000000000;
            ticker.kind = TICKER;
            ticker.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
            timerfd_settime(ticker.fd, 0, &every, NULL);
            watch(&ticker, EPOLLIN);
            if (opt.abuse && write(abuse_start[1], "", 1) != 1) die("the abuser: %s", strerror(errno));
        } else {
            for (int i = 0; i < opt.connections; i++) send_messages(&clients[i], opt.depth);
        }
    }
    pump_for(opt.warmup);
    double cpu = server_cpu(), own = own_cpu();
    uint64_t begin = now_ns();
    measuring = 1;
    for (uint64_t end = begin + (uint64_t)(opt.seconds * 1e9); now_ns() < end;) pump(10);
    measuring = 0;
    stopped = 1;
    if (abuser_pid) {
        kill(abuser_pid, SIGKILL);
        waitpid(abuser_pid, NULL, 0);
    }
    double wall = (double)(now_ns() - begin) / 1e9;
    cpu = server_cpu() - cpu;
    own = own_cpu() - own;
    wait_for_the_rest();
    print_result(wall, cpu, own);
}

static void run_connect(void) {
    double wall = 0, cpu = 0, own = 0;
    if (opt.warmup > 0) {
        open_all();
        for (int i = 0; i < opt.connections; i++) drop(&clients[i]);
        wait_quiet(3);
    }
    while (wall < opt.seconds) {
        double cpu_before = server_cpu(), own_before = own_cpu();
        uint64_t begin = now_ns();
        measuring = 1;
        open_all();
        measuring = 0;
        wall += (double)(now_ns() - begin) / 1e9;
        own += own_cpu() - own_before;
        pump_for(0.05); /* what a server puts off until after its 101 belongs to the handshake too */
        cpu += server_cpu() - cpu_before;
        for (int i = 0; i < opt.connections; i++) drop(&clients[i]);
        wait_quiet(3);
    }
    print_result(wall, cpu, own);
}

static void run_idle(void) {
    uint64_t begin = now_ns();
    open_all();
    double wall = (double)(now_ns() - begin) / 1e9;
    wait_quiet(3);
    printf("{\"opened\": %d, \"seconds\": %.3f}\n", opened, wall);
    fflush(stdout);
    for (struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN}; !poll(&input, 1, 0);) pump(100);
    printf("{\"alive\": %d, \"errors\": %llu, \"first_error\": \"%s\"}\n", alive, (unsigned long long)errors, first_error);
}

/* -- command line ------------------------------------------------------------------------------------------------ */

static void prepare(void) {
    size_t room = (size_t)opt.size + 1024;
    char *payload = malloc(room > 32768 ? room : 32768);
    message = malloc(room);
    body = malloc(room);
    scratch = malloc((room + 2048) * (size_t)(opt.depth > 64 ? opt.depth : 64) * 2);
    clients = calloc((size_t)opt.connections, sizeof *clients);
    if (!payload || !message || !body || !scratch || !clients) die("out of memory");
    message_len = put_frame(message, 1, payload, put_payload(payload, opt.action, opt.size));
    if (getting()) {
        free(message);
        int n = asprintf(&message, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\nUser-Agent: driver\r\n\r\n", opt.path, opt.port);
        if (n < 0) die("out of memory");
        message_len = (size_t)n;
    }
    body_len = put_payload(body, opt.action, opt.size);
    for (int i = 0; i < opt.connections; i++) clients[i].fd = -1;
    abuser.fd = -1;
    if (!opt.abuse) return;
    if (pipelines()) {
        abuse_message = strdup("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        abuse_len = strlen(abuse_message);
        return;
    }
    const char *action = is_abuse("slow-backend") ? "slow" : is_abuse("dead-backend") ? "dead" : "send";
    size_t n = put_payload(payload, action, is_abuse("slow-client") ? 16384 : 64);
    abuse_message = malloc(n + 16);
    abuse_len = put_frame(abuse_message, 1, payload, n);
}

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"port", 1, 0, 'p'},    {"internal-port", 1, 0, 'q'}, {"path", 1, 0, 'u'},    {"push-prefix", 1, 0, 'v'},
        {"action", 1, 0, 'A'},  {"expect", 1, 0, 'e'},        {"abuse", 1, 0, 'a'},   {"connections", 1, 0, 'n'},
        {"depth", 1, 0, 'd'},   {"size", 1, 0, 's'},          {"posters", 1, 0, 'P'}, {"opening", 1, 0, 'K'},
        {"seconds", 1, 0, 't'}, {"warmup", 1, 0, 'w'},        {"rate", 1, 0, 'r'},    {"pids", 1, 0, 'S'},
        {0, 0, 0, 0}};
    static const char *const kinds[] = {"slow-client",   "flood",        "garbage",     "pipeline",
                                        "pipeline-deaf", "slow-backend", "dead-backend"};
    for (int o; (o = getopt_long(argc, argv, "", names, NULL)) != -1;) switch (o) {
        case 'p': opt.port = atoi(optarg); break;
        case 'q': opt.internal_port = atoi(optarg); break;
        case 'u': opt.path = optarg; break;
        case 'v': opt.push_prefix = optarg; break;
        case 'A': opt.action = optarg; break;
        case 'e': opt.expect = optarg; break;
        case 'a': opt.abuse = optarg; break;
        case 'n': opt.connections = atoi(optarg); break;
        case 'd': opt.depth = atoi(optarg); break;
        case 's': opt.size = atoi(optarg); break;
        case 'P': opt.posters = atoi(optarg); break;
        case 'K': opt.opening = atoi(optarg); break;
        case 't': opt.seconds = atof(optarg); break;
        case 'w': opt.warmup = atof(optarg); break;
        case 'r': opt.rate = atof(optarg); break;
        case 'S':
            for (char *pid = strtok(optarg, ","); pid && opt.pid_count < MAX_PIDS; pid = strtok(NULL, ","))
                opt.pids[opt.pid_count++] = atoi(pid);
            break;
        default: return 2;
        }
    opt.mode = optind < argc ? argv[optind] : "";
    int known = !opt.abuse;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) known |= is_abuse(kinds[i]);
    if (!known || opt.port < 1 || opt.connections < 1 || opt.connections > 60000 || opt.depth < 1 || opt.depth > 256 || opt.size < 0 ||
        opt.size > MAX_MESSAGE - 64 || opt.posters < 1 || opt.posters > 1024 || opt.opening < 1 || opt.seconds <= 0 || opt.seconds > 600 ||
        (opt.abuse && opt.rate <= 0)) {
        fputs("driver: an option is missing, unknown or out of range; see the first lines of driver.c\n", stderr);
        return 2;
    }
    if (!opt.internal_port) opt.internal_port = opt.port;
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    prepare();
    if (!strcmp(opt.mode, "load") || !strcmp(opt.mode, "push") || getting()) run_load();
    else if (!strcmp(opt.mode, "connect")) run_connect();
    else if (!strcmp(opt.mode, "idle")) run_idle();
    else {
        fputs("driver: MODE is one of load, push, get, connect, idle\n", stderr);
        return 2;
    }
    return 0;
}
