/* cwd_deleted.c - a working directory that has been removed: it stays so */
#include <sys/stat.h>
#include "victim.h"

int main(int argc, char **argv)
{
    char path[5000], link[5000], got[5000];
    struct stat st;

    victim_init(argc, argv);
    MUST(realpath(victim_dir, victim_words) != NULL);
    snprintf(victim_dir, sizeof(victim_dir), "%s", victim_words);
    victim_words[0] = 0;
    victim_path(path, sizeof(path), "gone");
    MUST(mkdir(path, 0755) == 0);
    MUST(chdir(path) == 0);
    MUST(rmdir(path) == 0);
    strcat(path, " (deleted)");
    victim_ready();
    while (victim_wait()) {
        CHECK(getcwd(got, sizeof(got)) == NULL && errno == ENOENT);
        CHECK(stat(".", &st) == 0 && st.st_nlink == 0);
        CHECK(open("x", O_CREAT | O_WRONLY, 0600) < 0 && errno == ENOENT);
        ssize_t n = readlink("/proc/self/cwd", link, sizeof(link) - 1);
        link[n > 0 ? n : 0] = 0;
        if (strcmp(link, path) != 0)
            victim_fail("cwd is %s, expected %s", link, path);
    }
    return 0;
}
