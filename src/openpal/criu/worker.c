/*
 * worker.c - a `criu swrk`, and one request after another to it
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "openpal/criu/keeper.h"
#include "openpal/criu/worker.h"

/* ---- start ---- */

static int start_child(const struct worker_how *how, int fd, struct worker *worker)
{
    return keeper_start_child(how, fd, &worker->child);
}

static int start_kept(const struct worker_how *how, int fd, struct worker *worker)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    int r = keeper_start(how, fd, ends[1]);
    close(ends[1]);
    if (r < 0)
        close(ends[0]);
    else
        worker->verdict_fd = ends[0];
    return r;
}

int worker_start(const struct worker_how *how, struct worker *ret, struct crs_error *err)
{
    struct worker worker = WORKER_NONE;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return crs_fail_errno(err, CRS_FAILED, "can't make a socket for CRIU");
    int r = how->as_child ? start_child(how, ends[1], &worker) : start_kept(how, ends[1], &worker);
    close(ends[1]);
    if (r < 0) {
        close(ends[0]);
        errno = -r;
        return crs_fail_errno(err, CRS_FAILED, "can't start %s", how->program);
    }
    worker.fd = ends[0];
    *ret = worker;
    return 0;
}

/* ---- end ---- */

static int status_of_child(pid_t child, bool confused)
{
    int status = -1;
    if (confused)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static bool read_whole(int fd, void *ret, size_t size)
{
    ssize_t n;
    while ((n = read(fd, ret, size)) < 0 && errno == EINTR)
        ;
    return n == (ssize_t)size;
}

/* The keeper writes it when the worker has ended; nothing: it was ended itself. What didn't answer
 * as CRIU does may not end as CRIU does. */
static struct verdict verdict_of_keeper(int fd, bool confused)
{
    struct verdict verdict = {.status = -1}, none = verdict;
    struct pollfd told = {.fd = fd, .events = POLLIN};
    pid_t pid = 0;
    if (!read_whole(fd, &pid, sizeof(pid)))
        return none;
    if (confused && pid > 0 && poll(&told, 1, 0) == 0)
        kill(pid, SIGKILL);
    return read_whole(fd, &verdict, sizeof(verdict)) ? verdict : none;
}

static int judge(struct verdict verdict, struct crs_error *err)
{
    if (verdict.status == -1)
        return crs_fail(err, CRS_FAILED, EPIPE, "how CRIU ended is not known");
    if (WIFSIGNALED(verdict.status))
        return crs_fail(err, CRS_FAILED, EPIPE, "CRIU was ended by signal %d (%s)",
                        WTERMSIG(verdict.status), strsignal(WTERMSIG(verdict.status)));
    if (WEXITSTATUS(verdict.status) == 127)
        return crs_fail(err, CRS_FAILED, ENOEXEC, "CRIU can't be run");
    if (WEXITSTATUS(verdict.status))
        return crs_fail(err, CRS_FAILED, EPIPE, "CRIU ended with exit code %d",
                        WEXITSTATUS(verdict.status));
    if (verdict.finish) {
        errno = verdict.finish;
        return crs_fail_errno(err, CRS_STORAGE, "the snapshot can't be completed");
    }
    return 0;
}

int worker_end(struct worker *worker, struct crs_error *err)
{
    struct verdict verdict = {0};
    if (worker->fd < 0)
        return 0;
    close(worker->fd);
    if (worker->child)
        verdict.status = status_of_child(worker->child, worker->confused);
    else
        verdict = verdict_of_keeper(worker->verdict_fd, worker->confused);
    cleanup_close(&worker->verdict_fd);
    *worker = (struct worker)WORKER_NONE;
    return judge(verdict, err);
}

void worker_forget(struct worker *worker)
{
    cleanup_close(&worker->fd);
    cleanup_close(&worker->verdict_fd);
    *worker = (struct worker)WORKER_NONE;
}

/* ---- call ---- */

static int send_request(int fd, const CriuRpc__Request *request, struct crs_error *err)
{
    size_t size = criu_rpc__request__get_packed_size(request);
    _cleanup_free_ uint8_t *packet = malloc(size);
    if (!packet)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for a request to CRIU");
    criu_rpc__request__pack(request, packet);
    ssize_t n;
    while ((n = send(fd, packet, size, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return n < 0 ? crs_fail_errno(err, CRS_FAILED, "CRIU doesn't take a request") : 0;
}

/* The size of the packet that comes next, 0 at the end, or -1. */
static ssize_t next_size(int fd)
{
    char byte;
    ssize_t n;
    while ((n = recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_TRUNC)) < 0 && errno == EINTR)
        ;
    return n;
}

static int receive_packet(int fd, uint8_t **ret, size_t *ret_size, struct crs_error *err)
{
    ssize_t size = next_size(fd), n;
    if (size < 0 && errno != ECONNRESET)
        return crs_fail_errno(err, CRS_FAILED, "can't read CRIU's answer");
    if (size <= 0)
        return crs_fail(err, CRS_FAILED, EPIPE, "CRIU ended without an answer");
    if (size > WORKER_MAX_ANSWER_BYTES)
        return crs_fail(err, CRS_FAILED, EMSGSIZE, "CRIU's answer has %zd bytes, more than %d",
                        size, WORKER_MAX_ANSWER_BYTES);
    _cleanup_free_ uint8_t *packet = malloc((size_t)size);
    if (!packet)
        return crs_fail(err, CRS_FAILED, ENOMEM, "no memory for CRIU's answer");
    while ((n = recv(fd, packet, (size_t)size, 0)) < 0 && errno == EINTR)
        ;
    if (n != size)
        return crs_fail(err, CRS_FAILED, EBADMSG, "CRIU's answer can't be read whole");
    *ret = TAKE_PTR(packet);
    *ret_size = (size_t)size;
    return 0;
}

static int receive_response(int fd, CriuRpc__Response **ret, struct crs_error *err)
{
    _cleanup_free_ uint8_t *packet = NULL;
    size_t size = 0;
    int r = receive_packet(fd, &packet, &size, err);
    if (r < 0)
        return r;
    *ret = criu_rpc__response__unpack(NULL, size, packet);
    return *ret ? 0
                : crs_fail(err, CRS_FAILED, EBADMSG,
                           "CRIU's answer of %zu bytes is not understood: is this program CRIU?",
                           size);
}

static const char *name_of(CriuRpc__RequestType type)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&criu_rpc__request_type__descriptor, (int)type);
    return value ? value->name : "an unknown message";
}

static int exchange(int fd, const CriuRpc__Request *request, CriuRpc__Response **ret,
                    struct crs_error *err)
{
    int r = send_request(fd, request, err);
    return r < 0 ? r : receive_response(fd, ret, err);
}

int worker_call(struct worker *worker, const CriuRpc__Request *request,
                CriuRpc__Response **ret_response, struct crs_error *err)
{
    CriuRpc__Response *response;
    int r = exchange(worker->fd, request, &response, err);
    if (r < 0) {
        worker->confused = r != -EPIPE && r != -ECONNRESET;
        return r;
    }
    if (response->type != request->type) {
        r = crs_fail(err, CRS_FAILED, EBADMSG, "CRIU answers %s with %s: use a newer CRIU",
                     name_of(request->type), name_of(response->type));
        worker_response_free(response);
        worker->confused = true;
        return r;
    }
    *ret_response = response;
    return 0;
}

void worker_response_free(CriuRpc__Response *response)
{
    if (response)
        criu_rpc__response__free_unpacked(response, NULL);
}
