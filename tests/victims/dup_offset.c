/*
 * dup_offset.c - duplicates share a position and flags, a second open doesn't
 */
#include "victim.h"

int main(int argc, char **argv)
{
    char path[5000], c;

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "data");
    int a = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    MUST(a >= 0 && write(a, "abcdef", 6) == 6 && lseek(a, 0, SEEK_SET) == 0);
    int b = dup(a), far = dup2(a, 77), other = open(path, O_RDONLY);
    MUST(b >= 0 && far == 77 && other >= 0);

    victim_ready();
    while (victim_wait()) {
        CHECK(read(a, &c, 1) == 1 && c == 'a');
        CHECK(read(b, &c, 1) == 1 && c == 'b');
        CHECK(read(far, &c, 1) == 1 && c == 'c');
        CHECK(read(other, &c, 1) == 1 && c == 'a');
        CHECK_EQ(fcntl(far, F_SETFL, O_APPEND), 0);
        CHECK(fcntl(a, F_GETFL) & O_APPEND);
        CHECK(!(fcntl(other, F_GETFL) & O_APPEND));
        fcntl(a, F_SETFL, 0);
        lseek(b, 0, SEEK_SET);
        lseek(other, 0, SEEK_SET);
    }
    return 0;
}
