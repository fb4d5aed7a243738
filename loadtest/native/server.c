/* server: a single-threaded epoll server, the backend of the relay and what the driver's ceiling is measured with.
 *
 *   server --ready-file PATH [--websocket echo|id|relay] [--backend PORT]
 *
 * It listens on a loopback port of its own choice and writes {"public": URL, "internal": URL, "pid": N} to PATH.
 *   POST /whoami                    answers the X-Connection-Id header
 *   POST /slow                      is never answered
 *   POST /dev/@connections/ID       sends the body to that WebSocket
 *   POST anything else              answers the body: an HTTP integration
 *   GET with Upgrade                a WebSocket; a message is answered by itself (echo), by the connection's id (id),
 *                                   or by what the backend answers to it (relay: a gateway without any features)
 * It trusts its peers: no limits, no UTF-8 check, no fragments. Never expose it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_SOCKETS = 65536, POOL = 64 };
enum kind { LISTENER, HTTP, WEBSOCKET, BACKEND };

typedef struct conn {
    int fd; /* also a WebSocket's id */
    enum kind kind;
    int closed, dirty, want_write;
    char *in;
    size_t in_len, in_cap;
    char *out;
    size_t out_len, out_cap;
    struct conn *next_dirty, *next_free;
    int peer; /* a backend connection: the WebSocket that waits for its answer */
} conn;

typedef struct request { /* waits for a free backend connection */
    struct request *next;
    int peer;
    size_t len;
    char body[];
} request;

static int poller, backend_port;
static enum { ECHO, ID, RELAY } websocket_mode = ECHO;
static conn *sockets[MAX_SOCKETS], *dirty, *free_backends;
static request *queue_head, **queue_tail = &queue_head;

static void fail(const char *what) {
    fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* -- SHA-1 (RFC 3174) and base64, for Sec-WebSocket-Accept ---------------------------------------------------------- */

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void sha1(const unsigned char *data, size_t n, unsigned char digest[20]) {
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    unsigned char padded[256] = {0x00};
    size_t total = ((n + 8) / 64 + 1) * 64;
    memcpy(padded, data, n);
    padded[n] = 0x80;
    for (int i = 0; i < 8; i++) padded[total - 1 - (size_t)i] = (unsigned char)((uint64_t)n * 8 >> (8 * i));
    for (size_t block = 0; block < total; block += 64) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 16; i++) {
            const unsigned char *p = padded + block + 4 * i;
            w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        }
        for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
            uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
            uint32_t t = rotate(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = t;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const unsigned char *data, int n, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)data[i] << 16 | (uint32_t)(i + 1 < n ? data[i + 1] << 8 : 0) | (uint32_t)(i + 2 < n ? data[i + 2] : 0);
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? digits[v & 63] : '=';
    }
    *out = 0;
}

/* -- sockets: output is gathered and written once per turn ------------------------------------------------------- */

static void watch(conn *c, int operation, unsigned events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &e)) fail("epoll_ctl");
}

static conn *add(int fd, enum kind kind) {
    int one = 1;
    if (fd >= MAX_SOCKETS) fail("too many sockets");
    conn *c = calloc(1, sizeof *c);
    c->fd = fd;
    c->kind = kind;
    sockets[fd] = c;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
    return c;
}

static void say(conn *c, const char *data, size_t n) {
    if (c->out_len + n > c->out_cap) {
        c->out_cap = (c->out_len + n) * 2;
        c->out = realloc(c->out, c->out_cap);
        if (!c->out) fail("out of memory");
    }
    memcpy(c->out + c->out_len, data, n);
    c->out_len += n;
    if (!c->dirty) {
        c->dirty = 1;
        c->next_dirty = dirty;
        dirty = c;
    }
}

static void flush(conn *c) {
    size_t done = 0;
    while (done < c->out_len) {
        ssize_t n = write(c->fd, c->out + done, c->out_len - done);
        if (n < 0) {
            if (errno != EAGAIN) done = c->out_len; /* the reader will see the end */
            break;
        }
        done += (size_t)n;
    }
    memmove(c->out, c->out + done, c->out_len - done);
    c->out_len -= done;
    int want = c->out_len > 0;
    if (want != c->want_write) watch(c, EPOLL_CTL_MOD, EPOLLIN | (want ? EPOLLOUT : 0));
    c->want_write = want;
    if (!want && c->out_cap > 8192) {
        free(c->out);
        c->out = NULL;
        c->out_cap = 0;
    }
}

static void end(conn *c) {
    if (c->kind == BACKEND) fail("the backend closed a connection");
    c->closed = 1; /* freed when the turn is over: it may still be on the list of dirty ones */
    if (!c->dirty) {
        c->dirty = 1;
        c->next_dirty = dirty;
        dirty = c;
    }
}

static conn *websocket(int id) {
    conn *c = id >= 0 && id < MAX_SOCKETS ? sockets[id] : NULL;
    return c && c->kind == WEBSOCKET && !c->closed ? c : NULL;
}

static void say_frame(conn *c, const char *payload, size_t n) {
    char h[10] = {(char)0x81};
    if (n < 126) {
        h[1] = (char)n;
        say(c, h, 2);
    } else if (n < 65536) {
        h[1] = 126, h[2] = (char)(n >> 8), h[3] = (char)n;
        say(c, h, 4);
    } else {
        h[1] = 127;
        for (int i = 0; i < 8; i++) h[2 + i] = (char)((uint64_t)n >> (56 - 8 * i));
        say(c, h, 10);
    }
    say(c, payload, n);
}

/* -- relay: a pool of keep-alive connections to the backend ------------------------------------------------------- */

static void call_backend(conn *backend, int peer, const char *body, size_t n) {
    char head[256];
    int k = sprintf(head, "POST /integ HTTP/1.1\r\nHost: backend\r\nContent-Type: application/json\r\nX-Connection-Id: %d\r\nContent-Length: %zu\r\n\r\n", peer, n);
    backend->peer = peer;
    say(backend, head, (size_t)k);
    say(backend, body, n);
}

static void relay(conn *c, const char *message, size_t n) {
    static const char refusal[] = "{\"message\": \"no route\"}";
    const char *action = memmem(message, n, "\"action\":\"send\"", 15);
    if (!action) {
        say_frame(c, refusal, sizeof refusal - 1);
    } else if (free_backends) {
        conn *backend = free_backends;
        free_backends = backend->next_free;
        call_backend(backend, c->fd, message, n);
    } else {
        request *r = malloc(sizeof *r + n);
        *r = (request){.peer = c->fd, .len = n};
        memcpy(r->body, message, n);
        *queue_tail = r;
        queue_tail = &r->next;
    }
}

static void on_backend_answer(conn *backend) {
    char *head_end = memmem(backend->in, backend->in_len, "\r\n\r\n", 4), *length;
    if (!head_end) return;
    size_t head = (size_t)(head_end - backend->in) + 4, n;
    *head_end = 0;
    length = strcasestr(backend->in, "content-length:");
    n = length ? strtoul(length + 15, NULL, 10) : 0;
    *head_end = '\r';
    if (backend->in_len < head + n) return;
    conn *peer = websocket(backend->peer);
    if (peer) say_frame(peer, backend->in + head, n);
    backend->in_len = 0;
    if (queue_head) {
        request *r = queue_head;
        queue_head = r->next;
        if (!queue_head) queue_tail = &queue_head;
        call_backend(backend, r->peer, r->body, r->len);
        free(r);
    } else {
        backend->next_free = free_backends;
        free_backends = backend;
    }
}

/* -- incoming ---------------------------------------------------------------------------------------------------- */

static void upgrade(conn *c, const char *key, size_t n) {
    unsigned char text[128], digest[20];
    char accept[64], answer[256];
    if (n > 64) n = 64;
    memcpy(text, key, n);
    memcpy(text + n, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    sha1(text, n + 36, digest);
    base64(digest, 20, accept);
    int k = sprintf(answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    say(c, answer, (size_t)k);
    c->kind = WEBSOCKET;
}

static void answer(conn *c, int status, const char *type, const char *body, size_t n) {
    char head[192];
    int k = sprintf(head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status, status == 200 ? "OK" : "Gone", type, n);
    say(c, head, (size_t)k);
    say(c, body, n);
}

/* One request at the start of data[0:n]; the number of bytes used, 0 if it is not whole. */
static size_t on_request(conn *c, char *data, size_t n) {
    char *head_end = memmem(data, n, "\r\n\r\n", 4), *key = NULL, *id = NULL;
    if (!head_end) return 0;
    size_t head = (size_t)(head_end - data) + 4, body = 0, key_len = 0, id_len = 0;
    for (char *line = memchr(data, '\n', head); line && line < head_end; line = memchr(line, '\n', (size_t)(head_end + 4 - line))) {
        line++;
        if (!strncasecmp(line, "content-length:", 15)) {
            body = strtoul(line + 15, NULL, 10);
        } else if (!strncasecmp(line, "sec-websocket-key:", 18)) {
            key = line + 18 + strspn(line + 18, " ");
            key_len = strcspn(key, "\r");
        } else if (!strncasecmp(line, "x-connection-id:", 16)) {
            id = line + 16 + strspn(line + 16, " ");
            id_len = strcspn(id, "\r");
        }
    }
    if (n < head + body) return 0;
    const char *path = memchr(data, ' ', head);
    path = path ? path + 1 : "";
    if (key) {
        upgrade(c, key, key_len);
    } else if (!strncmp(path, "/dev/@connections/", 18)) {
        conn *to = websocket(atoi(path + 18));
        if (to) say_frame(to, data + head, body);
        answer(c, to ? 200 : 410, "application/json", "", 0);
    } else if (!strncmp(path, "/whoami", 7)) {
        answer(c, 200, "text/plain", id ? id : "", id_len);
    } else if (strncmp(path, "/slow", 5)) {
        answer(c, 200, "application/json", data + head, body);
    }
    return head + body;
}

/* One frame at the start of data[0:n]; the number of bytes used, 0 if it is not whole. */
static size_t on_frame(conn *c, char *data, size_t n) {
    const unsigned char *b = (const unsigned char *)data;
    if (n < 6) return 0;
    uint64_t length = b[1] & 127;
    size_t h = length == 126 ? 4 : length == 127 ? 10 : 2;
    if (n < h + 4) return 0;
    if (h > 2) {
        length = 0;
        for (size_t i = 2; i < h; i++) length = length << 8 | b[i];
    }
    if (n < h + 4 + length) return 0;
    char *payload = data + h + 4, id[16];
    uint32_t mask, word;
    size_t i = 0;
    memcpy(&mask, data + h, 4);
    for (; i + 4 <= length; i += 4) {
        memcpy(&word, payload + i, 4);
        word ^= mask;
        memcpy(payload + i, &word, 4);
    }
    for (; i < length; i++) payload[i] ^= data[h + (i & 3)];
    int opcode = b[0] & 15;
    if (opcode == 8) end(c);
    else if (opcode > 2) return h + 4 + length;
    else if (websocket_mode == ECHO) say_frame(c, payload, length);
    else if (websocket_mode == ID) say_frame(c, id, (size_t)sprintf(id, "%d", c->fd));
    else relay(c, payload, length);
    return h + 4 + length;
}

static void on_readable(conn *c) {
    if (c->in_cap - c->in_len < 1024) {
        c->in_cap = c->in_cap ? c->in_cap * 2 : 4096;
        c->in = realloc(c->in, c->in_cap + 1);
        if (!c->in) fail("out of memory");
    }
    ssize_t got = read(c->fd, c->in + c->in_len, c->in_cap - c->in_len);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) end(c);
        return;
    }
    c->in_len += (size_t)got;
    c->in[c->in_len] = 0;
    if (c->kind == BACKEND) {
        on_backend_answer(c);
        return;
    }
    size_t used = 0, step = 1;
    while (step && used < c->in_len && !c->closed) {
        step = c->kind == HTTP ? on_request(c, c->in + used, c->in_len - used) : on_frame(c, c->in + used, c->in_len - used);
        used += step;
    }
    memmove(c->in, c->in + used, c->in_len - used);
    c->in_len -= used;
}

static void finish_turn(void) {
    while (dirty) {
        conn *c = dirty;
        dirty = c->next_dirty;
        c->dirty = 0;
        if (!c->closed) {
            if (!c->want_write) flush(c);
            continue;
        }
        sockets[c->fd] = NULL;
        close(c->fd);
        free(c->in);
        free(c->out);
        free(c);
    }
}

/* -- start ------------------------------------------------------------------------------------------------------- */

static int listen_anywhere(int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, n) || listen(fd, 4096)) fail("listen");
    getsockname(fd, (struct sockaddr *)&address, &n);
    *port = ntohs(address.sin_port);
    return fd;
}

static void open_pool(void) {
    for (int i = 0; i < POOL; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)backend_port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect to the backend");
        conn *c = add(fd, BACKEND);
        c->next_free = free_backends;
        free_backends = c;
    }
}

static void write_ready_file(const char *path, int port) {
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    if (!file) fail("ready file");
    fprintf(file, "{\"public\": \"http://127.0.0.1:%d\", \"internal\": \"http://127.0.0.1:%d\", \"pid\": %d}\n", port, port, getpid());
    if (fclose(file) || rename(temporary, path)) fail("ready file");
}

int main(int argc, char **argv) {
    static const struct option names[] = {{"ready-file", 1, 0, 'r'}, {"websocket", 1, 0, 'w'}, {"backend", 1, 0, 'b'}, {0, 0, 0, 0}};
    const char *ready_file = NULL;
    int port;
    for (int o; (o = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (o == 'r') ready_file = optarg;
        else if (o == 'b') backend_port = atoi(optarg);
        else if (o == 'w') websocket_mode = !strcmp(optarg, "relay") ? RELAY : !strcmp(optarg, "id") ? ID : ECHO;
        else return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(0);
    conn *listener = add(listen_anywhere(&port), LISTENER);
    if (backend_port) open_pool();
    if (ready_file) write_ready_file(ready_file, port);
    for (;;) {
        struct epoll_event events[512];
        int n = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < n; i++) {
            conn *c = events[i].data.ptr;
            if (c == listener) {
                for (int fd; (fd = accept(listener->fd, NULL, NULL)) >= 0;) add(fd, HTTP);
            } else if (!c->closed) {
                if (events[i].events & EPOLLOUT) flush(c);
                if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
            }
        }
        finish_turn();
    }
}
