/*
 * tree_locks.c - file locks of several processes by one open file: each holds its own
 */
#include <sys/file.h>
#include "victim_tree.h"

static int file;

static int lock(int command, short type, off_t start, pid_t *ret_holder)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = 10};
    int r = fcntl(file, command, &fl);

    if (ret_holder)
        *ret_holder = fl.l_type == F_UNLCK ? 0 : fl.l_pid;
    return r;
}

/* '1', '2': take the range of that number. 'a', 'b', 'c': who keeps this process from range 0,
 * 1, 2. */
static void act(char command, struct tree_answer *answer)
{
    pid_t holder = -1;

    if (command == '1' || command == '2')
        answer->value = lock(F_SETLK, F_WRLCK, (command - '0') * 100, NULL);
    else if (command >= 'a' && command <= 'c') {
        if (lock(F_GETLK, F_WRLCK, (command - 'a') * 100, &holder) < 0)
            holder = -1;
        answer->value = holder;
    } else
        answer->value = 0;
}

int main(int argc, char **argv)
{
    char path[5000];
    pid_t holder;

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "locked");
    file = open(path, O_RDWR | O_CREAT, 0600);
    MUST(file >= 0 && flock(file, LOCK_EX) == 0);
    struct tree_child one = tree_start(act), two = tree_start(act);
    MUST(lock(F_SETLK, F_WRLCK, 0, NULL) == 0);
    MUST(tree_ask(&one, '1').value == 0 && tree_ask(&two, '2').value == 0);
    victim_ready();
    while (victim_wait()) {
        pid_t pid_one = tree_ask(&one, 'x').pid, pid_two = tree_ask(&two, 'x').pid;
        CHECK(lock(F_GETLK, F_WRLCK, 100, &holder) == 0);
        CHECK_EQ(holder, pid_one);
        CHECK(lock(F_GETLK, F_WRLCK, 200, &holder) == 0);
        CHECK_EQ(holder, pid_two);
        CHECK_EQ(tree_ask(&one, 'a').value, getpid());
        CHECK_EQ(tree_ask(&one, 'b').value, 0); /* its own doesn't hinder it */
        CHECK_EQ(tree_ask(&one, 'c').value, pid_two);
        CHECK_EQ(tree_ask(&two, 'b').value, pid_one);
        int again = open(path, O_RDWR);
        CHECK(again >= 0 && flock(again, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
        close(again); /* with it go all POSIX locks of this process */
        CHECK(lock(F_SETLK, F_WRLCK, 0, NULL) == 0);
    }
    CHECK_EQ(tree_end(&one), 0);
    CHECK_EQ(tree_end(&two), 0);
    return tree_result();
}
