/*
 * cwd.c - the working directory and the umask
 * kinds: umask
 */
#include <sys/stat.h>
#include "victim.h"

int main(int argc, char **argv)
{
    char expected[5000], got[5000];
    struct stat st;

    victim_init(argc, argv);
    MUST(realpath(victim_dir, victim_words) != NULL);
    snprintf(victim_dir, sizeof(victim_dir), "%s", victim_words);
    victim_words[0] = 0;
    victim_path(expected, sizeof(expected), "a place with spaces (deleted)");
    MUST(mkdir(expected, 0755) == 0);
    MUST(chdir(expected) == 0);
    MUST(mkdir("inside", 0755) == 0);
    umask(0);
    victim_ready();
    for (mode_t mask = 0; victim_wait(); mask = mask == 0 ? 0137 : 0) {
        CHECK(getcwd(got, sizeof(got)) != NULL);
        if (strcmp(got, expected) != 0)
            victim_fail("cwd is %s, expected %s", got, expected);
        CHECK(stat("inside", &st) == 0 && S_ISDIR(st.st_mode));
        CHECK_EQ(umask(mask == 0 ? 0137 : 0), mask);
    }
    return 0;
}
