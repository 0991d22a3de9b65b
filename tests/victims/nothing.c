/*
 * nothing.c - a program that holds nothing but itself
 */
#include "victim.h"

int main(int argc, char **argv)
{
    pid_t parent_at_start = getppid();
    int number = 42;

    victim_init(argc, argv);
    victim_ready();
    while (victim_wait()) {
        CHECK_EQ(number, 42);
        if (strcmp(victim_situation(), "continue") == 0 && victim_round == 1)
            CHECK_EQ(getppid(), parent_at_start);
    }
    return 0;
}
