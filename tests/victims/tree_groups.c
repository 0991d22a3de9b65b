/*
 * tree_groups.c - process groups and sessions inside of a tree, as a shell with jobs makes them
 */
#include "victim_tree.h"

static struct tree_child child_of_session;

/* 'g': a group of its own; 's': a session of its own, with a child in it. */
static void act(char command, struct tree_answer *answer)
{
    if (command == 'g')
        MUST(setpgid(0, 0) == 0);
    if (command == 's') {
        MUST(setsid() > 0);
        child_of_session = tree_start(NULL);
    }
    if (command == 'q') {
        answer->value = child_of_session.command ? WEXITSTATUS(tree_end(&child_of_session)) : 0;
        return;
    }
    answer->group = getpgrp();
    answer->session = getsid(0);
    if (child_of_session.command) {
        struct tree_answer below = tree_ask(&child_of_session, command == 's' ? 'a' : command);
        answer->value =
            below.session == getsid(0) && below.group == getpgrp() && below.parent == getpid();
    }
}

int main(int argc, char **argv)
{
    victim_init(argc, argv);
    struct tree_child leader = tree_start(act), member = tree_start(act), other = tree_start(act);
    pid_t group = tree_ask(&leader, 'g').pid;
    MUST(setpgid(tree_ask(&member, 'a').pid, group) == 0);
    MUST(tree_ask(&other, 's').value == 1);
    victim_ready();
    while (victim_wait()) {
        struct tree_answer a = tree_ask(&leader, 'a'), b = tree_ask(&member, 'a'),
                           c = tree_ask(&other, 'a');
        CHECK_EQ(a.group, a.pid);
        CHECK_EQ(a.session, getsid(0));
        CHECK_EQ(b.group, a.pid);
        CHECK_EQ(b.session, getsid(0));
        CHECK_EQ(c.session, c.pid);
        CHECK_EQ(c.group, c.pid);
        CHECK_EQ(c.value, 1);
        CHECK_EQ(getpgid(a.pid), a.pid);
        CHECK_EQ(getsid(c.pid), c.pid);
        CHECK(kill(-a.pid, 0) == 0);
    }
    CHECK_EQ(tree_end(&member), 0);
    CHECK_EQ(tree_end(&leader), 0);
    CHECK_EQ(tree_end(&other), 0);
    return tree_result();
}
