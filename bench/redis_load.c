/*
 * redis_load.c - requests to a Redis at a steady rate, and how long each took
 *
 *     redis_load SOCKET SECONDS RATE KEYS [SIZE]
 *
 * RATE requests a second, half of them GET and half of them SET of SIZE bytes (100), of the keys
 * key:0 to key:KEYS-1, over one connection to the unix socket. Each has its moment: if the server
 * is late, the next ones are late too, and that counts for them, as it does for users who don't
 * wait for each other. Prints the number of answers, and nanoseconds: the mean, p50, p99, p99.9 and
 * the longest.
 */
#include "dialogue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MOST_SIZE 4096u
#define DRAIN_NS  20000000000ll

static struct {
    int fd;
    int64_t begin_ns, each_ns;
    uint64_t n_all, n_sent, n_answered, n_keys;
    size_t size;
    int64_t *took_ns;
    char out[2 * MOST_SIZE], in[65536];
    size_t out_at, out_end; /* of a request that went out in part */
    size_t in_end, skip;    /* bytes of a value that are still to come */
} load;

static void connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    errno = ENAMETOOLONG;
    if (strlen(path) >= sizeof(address.sun_path))
        die("%s", path);
    strcpy(address.sun_path, path);
    load.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (load.fd < 0 || connect(load.fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("can't connect to %s", path);
    fcntl(load.fd, F_SETFL, O_NONBLOCK);
}

static int64_t moment_of(uint64_t n)
{
    return load.begin_ns + (int64_t)n * load.each_ns;
}

static void make_request(void)
{
    static uint64_t x = 88172645463325252u;
    char key[32];

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    int length = snprintf(key, sizeof(key), "key:%llu", (unsigned long long)(x % load.n_keys));
    load.out_at = 0;
    if (load.n_sent % 2) {
        load.out_end =
            snprintf(load.out, sizeof(load.out), "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", length, key);
        return;
    }
    load.out_end = snprintf(load.out, sizeof(load.out), "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%zu\r\n",
                            length, key, load.size);
    memset(load.out + load.out_end, 'a' + x % 26, load.size);
    memcpy(load.out + load.out_end + load.size, "\r\n", 2);
    load.out_end += load.size + 2;
}

/* All that is due, as far as the socket takes it. */
static void send_due(int64_t now)
{
    for (;;) {
        if (load.out_at == load.out_end) {
            if (load.n_sent == load.n_all || moment_of(load.n_sent) > now)
                return;
            make_request();
            load.n_sent++;
        }
        ssize_t n = write(load.fd, load.out + load.out_at, load.out_end - load.out_at);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            die("can't write to the server");
        load.out_at += n;
    }
}

static void answered(int64_t now)
{
    load.took_ns[load.n_answered] = now - moment_of(load.n_answered);
    load.n_answered++;
}

/* One answer at the beginning of what has come: how many bytes it has; 0: not all of its head. */
static size_t one_answer(const char *text, size_t size, int64_t now)
{
    const char *end = memmem(text, size, "\r\n", 2);

    if (!end)
        return 0;
    errno = EPROTO;
    if (*text == '$') {
        long long length = strtoll(text + 1, NULL, 10);
        load.skip = length < 0 ? 0 : (size_t)length + 2;
        if (length < 0)
            answered(now);
    } else if (*text == '+') {
        answered(now);
    } else {
        die("the server answers '%.*s'", (int)(end - text), text);
    }
    return end + 2 - text;
}

static void parse_answers(int64_t now)
{
    size_t at = 0;

    while (at < load.in_end) {
        if (load.skip > 0) {
            size_t n = load.skip < load.in_end - at ? load.skip : load.in_end - at;
            load.skip -= n;
            at += n;
            if (load.skip == 0)
                answered(now);
            continue;
        }
        size_t n = one_answer(load.in + at, load.in_end - at, now);
        if (n == 0)
            break;
        at += n;
    }
    memmove(load.in, load.in + at, load.in_end - at);
    load.in_end -= at;
}

static void receive(void)
{
    ssize_t n = read(load.fd, load.in + load.in_end, sizeof(load.in) - load.in_end);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        die("the server has closed the connection");
    load.in_end += n;
    parse_answers(clock_ns(CLOCK_MONOTONIC));
}

static void run(void)
{
    int64_t give_up = moment_of(load.n_all) + DRAIN_NS;

    while (load.n_answered < load.n_all) {
        int64_t now = clock_ns(CLOCK_MONOTONIC);
        errno = ETIMEDOUT;
        if (now > give_up)
            die("%llu of %llu requests were answered", (unsigned long long)load.n_answered,
                (unsigned long long)load.n_all);
        send_due(now);
        bool part = load.out_at < load.out_end;
        int64_t wait = (load.n_sent < load.n_all ? moment_of(load.n_sent) : give_up) - now;
        wait = part || wait > 100000000 ? 100000000 : wait < 0 ? 0 : wait;
        struct pollfd poll = {load.fd, POLLIN | (part ? POLLOUT : 0), 0};
        struct timespec time = {0, wait};
        if (ppoll(&poll, 1, &time, NULL) > 0 && poll.revents & ~POLLOUT)
            receive();
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void report(void)
{
    double sum = 0;
    uint64_t n = load.n_all;

    for (uint64_t i = 0; i < n; i++)
        sum += (double)load.took_ns[i];
    qsort(load.took_ns, n, sizeof(*load.took_ns), compare);
    printf("%llu %.0f %lld %lld %lld %lld\n", (unsigned long long)n, sum / (double)n,
           (long long)load.took_ns[n / 2], (long long)load.took_ns[n - 1 - (n - 1) / 100],
           (long long)load.took_ns[n - 1 - (n - 1) / 1000], (long long)load.took_ns[n - 1]);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: redis_load SOCKET SECONDS RATE KEYS [SIZE]\n");
        return 2;
    }
    uint64_t rate = number_of(argv[3]);
    load.n_keys = number_of(argv[4]);
    load.size = argc > 5 ? number_of(argv[5]) : 100;
    load.n_all = number_of(argv[2]) * rate;
    errno = ERANGE;
    if (load.n_all == 0 || load.n_keys == 0 || load.size > MOST_SIZE)
        die("what is to be done");
    load.each_ns = 1000000000 / (int64_t)rate;
    load.took_ns = calloc(load.n_all, sizeof(*load.took_ns));
    if (!load.took_ns)
        die("no memory");
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    connect_to(argv[1]);
    load.begin_ns = clock_ns(CLOCK_MONOTONIC);
    run();
    report();
    return 0;
}
