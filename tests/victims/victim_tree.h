/*
 * victim_tree.h - for victims that are several processes: children that answer questions
 *
 * tree_start() forks a child that waits for commands. Each is a letter; the child calls `act` with
 * it, which may fill in the answer, and answers with who it is. 'q' ends it, with the value that
 * the answer's `value` has then. Nothing here is a PID that was remembered: a restarted program may
 * have others.
 */
#ifndef VICTIM_TREE_H
#define VICTIM_TREE_H

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "victim.h"

struct tree_answer {
    pid_t pid, parent, group, session;
    long value;
};

struct tree_child {
    int command, reply; /* ends of pipes */
};

typedef void (*tree_act)(char command, struct tree_answer *answer);

static inline void tree_read(int fd, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, (char *)data + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(97); /* the others are gone */
        done += n;
    }
}

static inline void tree_write(int fd, const void *data, size_t size)
{
    ssize_t n;

    while ((n = write(fd, data, size)) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)size)
        _exit(97);
}

static inline _Noreturn void tree_serve(int command, int reply, tree_act act)
{
    struct tree_answer answer = {0};
    char letter;

    for (;;) {
        victim_allow_tracer();
        tree_read(command, &letter, 1);
        answer.pid = getpid();
        answer.parent = getppid();
        answer.group = getpgrp();
        answer.session = getsid(0);
        if (act)
            act(letter, &answer);
        if (letter == 'q')
            _exit((int)answer.value);
        tree_write(reply, &answer, sizeof(answer));
    }
}

static inline struct tree_child tree_start(tree_act act)
{
    int command[2], reply[2];

    MUST(pipe(command) == 0 && pipe(reply) == 0);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        close(command[1]);
        close(reply[0]);
        tree_serve(command[0], reply[1], act);
    }
    close(command[0]);
    close(reply[1]);
    return (struct tree_child){command[1], reply[0]};
}

static inline struct tree_answer tree_ask(const struct tree_child *child, char command)
{
    struct tree_answer answer = {0};

    tree_write(child->command, &command, 1);
    tree_read(child->reply, &answer, sizeof(answer));
    return answer;
}

/* End a child of ours (the only one that ends now); its wait status. */
static inline int tree_end(struct tree_child *child)
{
    int status = -1;

    tree_write(child->command, "q", 1);
    while (waitpid(-1, &status, 0) < 0 && errno == EINTR)
        ;
    close(child->command);
    close(child->reply);
    return status;
}

static inline void *tree_share(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    MUST(p != MAP_FAILED);
    return p;
}

/* Failed checks make it end with 1: what is done after the last round counts too. */
static inline int tree_result(void)
{
    if (victim_words[0])
        fprintf(stderr, "victim: at its end: %s", victim_words);
    return victim_words[0] ? 1 : 0;
}

#endif
