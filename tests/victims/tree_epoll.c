/*
 * tree_epoll.c - an epoll instance that a child inherited, and one that its maker doesn't hold any
 * more; what is watched is held by others than the watcher
 */
#include <sys/epoll.h>
#include "victim_tree.h"

static int common, gone, watched[2], hidden[2];

/* 'w': which one is ready by the common instance; 'g': by the one that only the child has. */
static void act(char command, struct tree_answer *answer)
{
    static bool closed;
    struct epoll_event event = {0};
    char byte;

    if (!closed) { /* it watches without holding what is watched by one of them */
        close(hidden[0]);
        close(hidden[1]);
        closed = true;
    }
    answer->value = 0;
    if (command == 'w' && epoll_wait(common, &event, 1, 0) == 1)
        answer->value = event.data.u32;
    if (command == 'g' && epoll_wait(gone, &event, 1, 0) == 1)
        answer->value = event.data.u32;
    if (command == 'r')
        answer->value = read(watched[0], &byte, 1);
}

static void watch(int epoll, int fd, uint32_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = data};

    MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    MUST((common = epoll_create1(0)) >= 0 && (gone = epoll_create1(0)) >= 0);
    MUST(pipe(watched) == 0 && pipe(hidden) == 0);
    watch(common, watched[0], 11);
    watch(gone, watched[0], 12);
    watch(common, hidden[0], 13);
    struct tree_child child = tree_start(act);
    MUST(tree_ask(&child, 'w').value == 0);
    close(gone);
    victim_ready();
    while (victim_wait()) {
        struct epoll_event event = {0};
        char byte;
        CHECK_EQ(epoll_wait(common, &event, 1, 0), 0);
        CHECK_EQ(tree_ask(&child, 'w').value, 0);
        CHECK_EQ(tree_ask(&child, 'g').value, 0);
        CHECK(write(watched[1], "x", 1) == 1);
        CHECK_EQ(tree_ask(&child, 'w').value, 11);
        CHECK_EQ(tree_ask(&child, 'g').value, 12);
        CHECK(epoll_wait(common, &event, 1, 0) == 1 && event.data.u32 == 11);
        CHECK_EQ(tree_ask(&child, 'r').value, 1);
        CHECK(write(hidden[1], "x", 1) == 1);
        CHECK_EQ(tree_ask(&child, 'w').value, 13);
        CHECK(read(hidden[0], &byte, 1) == 1);
    }
    CHECK_EQ(tree_end(&child), 0);
    return tree_result();
}
