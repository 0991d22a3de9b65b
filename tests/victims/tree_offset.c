/*
 * tree_offset.c - an open file shared after fork: one offset, also where the file has no name
 */
#include <sys/stat.h>
#include "victim_tree.h"

static int shared, own, nameless;

static int next(int fd)
{
    char c = 0;

    return read(fd, &c, 1) == 1 ? c : -1;
}

static void act(char command, struct tree_answer *answer)
{
    int fd = command == 's' ? shared : command == 'o' ? own : nameless;

    if (command != 'q')
        answer->value = next(fd);
    else
        answer->value = 0;
}

static int make(const char *name, bool unlinked)
{
    char path[5000], text[256];

    for (int i = 0; i < 256; i++)
        text[i] = (char)(i & 0x7f);
    victim_path(path, sizeof(path), "%s", name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    MUST(fd >= 0);
    MUST(write(fd, text, sizeof(text)) == sizeof(text) && lseek(fd, 0, SEEK_SET) == 0);
    if (unlinked)
        MUST(unlink(path) == 0);
    return fd;
}

int main(int argc, char **argv)
{
    char path[5000];
    int mine, at = 0, apart = 0;

    victim_init(argc, argv);
    shared = make("shared", false);
    nameless = make("nameless", true);
    victim_path(path, sizeof(path), "shared");
    MUST((own = open(path, O_RDWR)) >= 0);
    struct tree_child child = tree_start(act);
    close(own);
    MUST((mine = open(path, O_RDWR)) == own); /* the same number and file, another description */
    MUST(next(shared) == at && tree_ask(&child, 's').value == at + 1);
    at += 2;
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(next(shared), at++);
        CHECK_EQ(tree_ask(&child, 's').value, at++);
        CHECK_EQ(lseek(shared, 0, SEEK_CUR), at);
        CHECK_EQ(tree_ask(&child, 'n').value, apart);
        CHECK_EQ(next(nameless), apart + 1);
        CHECK_EQ(next(mine), apart);
        CHECK_EQ(next(mine), apart + 1);
        CHECK_EQ(tree_ask(&child, 'o').value, apart);
        CHECK_EQ(tree_ask(&child, 'o').value, apart + 1);
        apart += 2;
    }
    CHECK_EQ(WEXITSTATUS(tree_end(&child)), 0);
    return tree_result();
}
