/*
 * regular.c - files of the file system: position, flags, append; one longer than its position
 */
#include "victim.h"

static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";

int main(int argc, char **argv)
{
    char path[5000], log[5000], buffer[64];

    victim_init(argc, argv);
    victim_path(path, sizeof(path), "data");
    victim_path(log, sizeof(log), "log");
    int rw = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    MUST(rw >= 0 && write(rw, text, 36) == 36 && lseek(rw, 10, SEEK_SET) == 10);
    int append = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0600);
    MUST(append >= 0 && write(append, "line\n", 5) == 5);
    int ro = open(path, O_RDONLY);
    MUST(ro >= 0 && lseek(ro, 30, SEEK_SET) == 30);
    int rw_flags = fcntl(rw, F_GETFL), append_flags = fcntl(append, F_GETFL);
    int ro_flags = fcntl(ro, F_GETFL);

    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(fcntl(rw, F_GETFL), rw_flags);
        CHECK_EQ(fcntl(append, F_GETFL), append_flags);
        CHECK_EQ(fcntl(ro, F_GETFL), ro_flags);
        CHECK_EQ(lseek(rw, 0, SEEK_CUR), 10);
        CHECK_EQ(lseek(ro, 0, SEEK_CUR), 30);
        CHECK_EQ(read(rw, buffer, 10), 10);
        CHECK(memcmp(buffer, text + 10, 10) == 0);
        lseek(rw, 10, SEEK_SET);
        CHECK_EQ(write(rw, text + 10, 10), 10);
        lseek(rw, 10, SEEK_SET);
        CHECK_EQ(read(ro, buffer, sizeof(buffer)), 6);
        CHECK(memcmp(buffer, text + 30, 6) == 0);
        lseek(ro, 30, SEEK_SET);
        errno = 0;
        CHECK(write(ro, "x", 1) < 0 && errno == EBADF);
        off_t end = lseek(append, 0, SEEK_END);
        lseek(append, 0, SEEK_SET);
        CHECK_EQ(write(append, "more\n", 5), 5);
        CHECK_EQ(lseek(append, 0, SEEK_CUR), end + 5);
    }
    return 0;
}
