/*
 * unix_named.c - listening sockets with paths, absolute and relative; connections to them with
 * their names; names whose files are gone
 *
 * kinds: unix-socket
 */
#include <sys/stat.h>

#include "unix_sockets.h"

static mode_t mode_of(const char *path)
{
    struct stat st;

    return lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) ? 0 : st.st_mode & 07777;
}

/* A new connection to the listener, through its name. */
static void check_service(int listener, int type, const char *name)
{
    int client = socket(AF_UNIX, type, 0);

    CHECK_EQ(connect_to(client, name), 0);
    int server = accept(listener, NULL, NULL);
    CHECK(server >= 0 && goes(client, "hello", 5) && comes(server, "hello", 5));
    close(client);
    close(server);
}

int main(int argc, char **argv)
{
    char absolute[100], gone[100];

    victim_init(argc, argv);
    victim_path(absolute, sizeof(absolute), "s");
    victim_path(gone, sizeof(gone), "gone");
    MUST(strlen(victim_dir) < sizeof(absolute) - 10 && chdir(victim_dir) == 0);
    umask(022);
    int stream = bound(SOCK_STREAM, absolute), record = bound(SOCK_SEQPACKET, "record");
    int deleted = bound(SOCK_STREAM, gone), silent = bound(SOCK_STREAM, "silent");
    MUST(chmod(absolute, 0606) == 0 && listen(stream, 5) == 0 && listen(record, 1) == 0);
    MUST(listen(deleted, 3) == 0);
    int client = connected(SOCK_STREAM, absolute), server = accept(stream, NULL, NULL);
    int named = bound(SOCK_STREAM, "client");
    MUST(connect_to(named, gone) == 0);
    int other = accept(deleted, NULL, NULL);
    MUST(client >= 0 && server >= 0 && other >= 0 && unlink(gone) == 0 && unlink("client") == 0);
    MUST(goes(client, "up", 2) && goes(server, "down", 4) && goes(named, "aside", 5));

    victim_ready();
    while (victim_wait()) {
        CHECK(has_name(stream, false, absolute) && has_name(record, false, "record"));
        CHECK(has_name(server, false, absolute) && has_name(server, true, ""));
        CHECK(has_name(client, true, absolute) && has_name(client, false, ""));
        CHECK(has_name(named, false, "client") && has_name(named, true, gone));
        CHECK(has_name(other, false, gone) && has_name(other, true, "client"));
        CHECK(has_name(deleted, false, gone) && has_name(silent, false, "silent"));
        CHECK_EQ(mode_of(absolute), 0606);
        CHECK_EQ(mode_of("record"), 0755);
        CHECK_EQ(mode_of("silent"), 0755);
        CHECK(access(gone, F_OK) < 0 && access("client", F_OK) < 0);
        CHECK(comes(server, "up", 2) && comes(client, "down", 4) && comes(other, "aside", 5));
        CHECK(goes(client, "up", 2) && goes(server, "down", 4) && goes(named, "aside", 5));
        check_service(stream, SOCK_STREAM, absolute);
        check_service(record, SOCK_SEQPACKET, "record");

        int try = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK(connect_to(try, "silent") < 0 && errno == ECONNREFUSED);
        close(try);
    }
    return 0;
}
