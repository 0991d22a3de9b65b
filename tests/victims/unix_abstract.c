/*
 * unix_abstract.c - abstract names: of one that listens and those that it accepted, of a client,
 * and names that the kernel chose
 *
 * kinds: unix-socket
 */
#include "unix_sockets.h"

int main(int argc, char **argv)
{
    char service[60], client[60], lonely[60], autobound[8] = "@";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(address);

    victim_init(argc, argv);
    snprintf(service, sizeof(service), "@victim-%lu-service", victim_number());
    snprintf(client, sizeof(client), "@victim-%lu-client", victim_number());
    snprintf(lonely, sizeof(lonely), "@victim-%lu-lonely", victim_number());
    int listener = bound(SOCK_STREAM, service), one = bound(SOCK_STREAM, client);
    MUST(listen(listener, 4) == 0 && connect_to(one, service) == 0);
    int two = connected(SOCK_STREAM, service);
    int first = accept(listener, NULL, NULL), second = accept(listener, NULL, NULL);
    MUST(goes(one, "1", 1) && goes(second, "2", 1));

    int none = socket(AF_UNIX, SOCK_DGRAM, 0);
    MUST(bind(none, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
    MUST(getsockname(none, (struct sockaddr *)&address, &size) == 0);
    memcpy(autobound + 1, address.sun_path + 1, 5);

    int temporary = bound(SOCK_STREAM, lonely); /* its two connections outlive it */
    MUST(listen(temporary, 2) == 0);
    int a = connected(SOCK_STREAM, lonely), b = connected(SOCK_STREAM, lonely);
    int to_a = accept(temporary, NULL, NULL), to_b = accept(temporary, NULL, NULL);
    close(temporary);

    victim_ready();
    while (victim_wait()) {
        CHECK(has_name(listener, false, service) && has_name(first, false, service));
        CHECK(has_name(second, false, service) && has_name(first, true, client));
        CHECK(has_name(one, false, client) && has_name(one, true, service));
        CHECK(has_name(two, false, "") && has_name(two, true, service));
        CHECK(has_name(none, false, autobound));
        CHECK(has_name(to_a, false, lonely) && has_name(b, true, lonely));
        CHECK(comes(first, "1", 1) && comes(two, "2", 1) && is_empty(second) && is_empty(one));
        CHECK(goes(one, "1", 1) && goes(second, "2", 1));
        CHECK(goes(a, "a", 1) && comes(to_a, "a", 1) && goes(to_b, "b", 1) && comes(b, "b", 1));

        int more = socket(AF_UNIX, SOCK_STREAM, 0), free = bound(SOCK_STREAM, lonely);
        CHECK_EQ(connect_to(more, service), 0);
        close(accept(listener, NULL, NULL));
        close(more);
        close(free);
    }
    return 0;
}
