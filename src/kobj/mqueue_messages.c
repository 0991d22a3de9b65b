/*
 * mqueue_messages.c - the messages in a POSIX message queue
 *
 * They can be read only by taking them away. So all are taken, in a shelter that also puts them
 * back: received in the order of their priorities and ages, and sent in the same order, they come
 * to the same places. That is done only where nobody outside has the queue open, who could get or
 * send one in between.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "kobj/mqueue.h"
#include "kobj/pipe.h"
#include "kobj/shelter.h"
#include "kobj/standstill.h"

#define PAUSE_US 1000
#define N_PAUSES 5000

static int out_of_memory(struct crs_error *err)
{
    return crs_fail(err, CRS_FAILED, ENOMEM, "out of memory");
}

/* ---- taken, and put back ---- */

struct taken {
    uint32_t priority;
    size_t size, at; /* in data */
};

struct pass {
    int fd;
    uint8_t *data;
    size_t size, room;
    struct taken *messages;
    size_t n, n_max, message_size;
    int error;
};

static void pass_clear(struct pass *p)
{
    free(p->data);
    free(p->messages);
}

/* All memory is there before anything is taken out: touched, not only promised. */
static int pass_prepare(struct pass *p, size_t size, const struct mq_attr *attributes)
{
    p->message_size = attributes->mq_msgsize;
    p->n_max = attributes->mq_curmsgs;
    p->room = size + p->message_size + 1;
    p->data = malloc(p->room);
    p->messages = calloc(p->n_max + 1, sizeof(*p->messages));
    if (!p->data || !p->messages)
        return -ENOMEM;
    memset(p->data, 1, p->room);
    memset(p->messages, 1, p->n_max * sizeof(*p->messages));
    return 0;
}

static void take(struct pass *p)
{
    unsigned priority;

    while (p->n < p->n_max && p->size + p->message_size < p->room) {
        long n = syscall(SYS_mq_timedreceive, p->fd, p->data + p->size, p->message_size, &priority,
                         NULL);
        if (n < 0)
            return;
        p->messages[p->n++] = (struct taken){priority, (size_t)n, p->size};
        p->size += n;
    }
}

/* The kernel may be short of memory for a moment. */
static int send_one(int fd, const void *data, size_t size, unsigned priority)
{
    for (int i = 0;; i++) {
        if (syscall(SYS_mq_timedsend, fd, data, size, priority, NULL) == 0)
            return 0;
        if ((errno != ENOMEM && errno != EAGAIN && errno != EINTR) || i == N_PAUSES)
            return -errno;
        usleep(PAUSE_US);
    }
}

static void pass_step(void *arg)
{
    struct pass *p = arg;

    take(p);
    for (size_t i = 0; i < p->n && p->error == 0; i++)
        p->error = send_one(p->fd, p->data + p->messages[i].at, p->messages[i].size,
                            p->messages[i].priority);
}

static int record_message(Crs__Mqueue *m, const struct pass *p, const struct taken *taken)
{
    Crs__MqueueMessage *message = malloc(sizeof(*message));

    if (!message)
        return -ENOMEM;
    crs__mqueue_message__init(message);
    m->messages[m->n_messages++] = message;
    message->priority = taken->priority;
    message->text.len = taken->size;
    message->text.data = malloc(taken->size + 1);
    if (!message->text.data)
        return -ENOMEM;
    memcpy(message->text.data, p->data + taken->at, taken->size);
    return 0;
}

static int record(Crs__Mqueue *m, const struct pass *p, struct crs_error *err)
{
    int r = 0;

    m->messages = calloc(p->n + 1, sizeof(*m->messages));
    if (!m->messages)
        return out_of_memory(err);
    for (size_t i = 0; r == 0 && i < p->n; i++)
        r = record_message(m, p, &p->messages[i]);
    return r < 0 ? out_of_memory(err) : 0;
}

static int pass(struct pass *p, Crs__Mqueue *m, struct crs_error *err)
{
    int r = shelter(pass_step, p);

    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't start a process: %s", strerror(-r));
    if (p->error < 0)
        return crs_fail(err, CRS_FAILED, -p->error, "the messages of a queue can't be put back: %s",
                        strerror(-p->error));
    return record(m, p, err);
}

int mqueue_copy_messages(int fd, const struct mq_attr *attributes, Crs__Mqueue *m,
                         struct crs_error *err)
{
    _cleanup_(pass_clear) struct pass p = {.fd = fd};
    struct mqueue_status status;
    int r = mqueue_read_status(fd, &status);

    if (r == 0)
        r = pass_prepare(&p, status.size, attributes);
    if (r < 0)
        return crs_fail(err, CRS_FAILED, -r, "can't look at the messages of a queue: %s",
                        strerror(-r));
    return pass(&p, m, err);
}

/* ---- checkpoint ---- */

static int refuse_outside(const struct kobj_dump *ctx, const struct open_file *file,
                          struct crs_error *err)
{
    pid_t pid = pipe_find_holder(ctx, &file->st, false);
    char reason[160];

    if (pid == 0)
        pid = pipe_find_holder(ctx, &file->st, true);
    if (pid == 0)
        return 0;
    snprintf(reason, sizeof(reason),
             "there are messages in it, and it is open in process %d, which isn't part of the "
             "checkpoint and could take them",
             (int)pid);
    return file_refuse(file, err, reason,
                       "receive them, or end that process, before the checkpoint");
}

/* Whoever goes on when the tool is killed finds all messages in their places. */
static int copy_in_standstill(struct kobj_dump *ctx, int fd, const struct mq_attr *attributes,
                              Crs__Mqueue *m, struct crs_error *err)
{
    struct standstill standstill;
    int r = standstill_begin(ctx, &fd, 1, &standstill, err);

    if (r < 0)
        return r;
    r = mqueue_copy_messages(fd, attributes, m, err);
    int ended = standstill_end(&standstill, r == 0 ? err : NULL);
    return r < 0 ? r : ended;
}

int mqueue_save_messages(struct kobj_dump *ctx, const struct open_file *file,
                         const struct mq_attr *attributes, Crs__Mqueue *m, struct crs_error *err)
{
    _cleanup_close_ int fd = -1;
    struct mqueue_status status = {0};
    int r = refuse_outside(ctx, file, err);

    if (r < 0)
        return r;
    r = file_reopen(file->dup_fd, O_RDWR | O_NONBLOCK, &fd);
    if (r == 0)
        r = mqueue_read_status(fd, &status);
    if (r < 0) {
        errno = -r;
        return file_refuse_errno(file, err, "read the messages that are in it, and put them back");
    }
    if (status.notified) /* the first that is put back would be told of */
        return file_refuse_for_now(file, err,
                                   "there are messages in it while a process is to be notified of "
                                   "the next one (mq_notify), which can't both be saved",
                                   "receive the messages before the checkpoint");
    return copy_in_standstill(ctx, fd, attributes, m, err);
}

/* ---- restart ---- */

int mqueue_fill(int fd, const Crs__Mqueue *m, struct crs_error *err)
{
    for (size_t i = 0; i < m->n_messages; i++) {
        const Crs__MqueueMessage *message = m->messages[i];
        int r = send_one(fd, message->text.data ? message->text.data : (void *)"",
                         message->text.len, message->priority);
        if (r < 0)
            return crs_fail(err, CRS_CANT_RESTART, -r,
                            "can't put the messages back into the message queue %s: %s", m->name,
                            strerror(-r));
    }
    return 0;
}

static bool same(const Crs__MqueueMessage *a, const Crs__MqueueMessage *b)
{
    return a->priority == b->priority && a->text.len == b->text.len &&
           (a->text.len == 0 || memcmp(a->text.data, b->text.data, a->text.len) == 0);
}

/* All of the program's messages are there in their order; others may have come since. */
static bool has_all(const Crs__Mqueue *there, const Crs__Mqueue *m)
{
    size_t found = 0;

    for (size_t i = 0; i < there->n_messages && found < m->n_messages; i++)
        found += same(there->messages[i], m->messages[found]);
    return found == m->n_messages;
}

static void empty(int fd, const struct mq_attr *attributes)
{
    _cleanup_free_ char *text = malloc(attributes->mq_msgsize + 1);

    while (text && syscall(SYS_mq_timedreceive, fd, text, attributes->mq_msgsize, NULL, NULL) >= 0)
        ;
}

static int fill_again(struct kobj_restore *ctx, int fd, const struct mq_attr *attributes,
                      const Crs__Mqueue *m, struct crs_error *err)
{
    _cleanup_mqueue_ Crs__Mqueue *there = malloc(sizeof(*there));

    if (!there)
        return out_of_memory(err);
    crs__mqueue__init(there);
    int r = mqueue_copy_messages(fd, attributes, there, err);
    if (r < 0 || has_all(there, m))
        return r;
    if (there->n_messages > 0)
        kobj_warn(
            ctx->progress, ctx->progress_arg,
            "the message queue %s had other messages here, which are lost: it has those of the "
            "program now",
            m->name);
    empty(fd, attributes);
    return mqueue_fill(fd, m, err);
}

int mqueue_fill_again(struct kobj_restore *ctx, int fd, const Crs__Mqueue *m, struct crs_error *err)
{
    _cleanup_close_ int ours = -1;
    struct mq_attr attributes;

    if (m->n_messages == 0)
        return 0;
    /* A lease, which tells whether it is in use, isn't given to somebody else's files. */
    if (!file_is_unused(fd)) {
        kobj_warn(ctx->progress, ctx->progress_arg,
                  "the message queue %s is in use by another program and stays as it is now",
                  m->name);
        return 0;
    }
    int r = file_reopen(fd, O_RDWR | O_NONBLOCK, &ours);
    if (r == 0)
        r = mqueue_get_attributes(ours, &attributes);
    if (r < 0)
        return crs_fail(err, CRS_CANT_RESTART, -r,
                        "can't look at the messages in the message queue %s: %s", m->name,
                        strerror(-r));
    return fill_again(ctx, ours, &attributes, m, err);
}
