/*
 * altstack.c - alternate signal stacks: one that is idle, and one that a handler runs on during
 * the checkpoint
 * link: -pthread
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include "victim.h"

#define SIZE 65536

static sem_t asked, answered;
static stack_t main_stack, thread_stack;
static volatile sig_atomic_t on_stack_rounds;

static stack_t make(void)
{
    stack_t stack = {.ss_size = SIZE};

    stack.ss_sp = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(stack.ss_sp != MAP_FAILED);
    MUST(sigaltstack(&stack, NULL) == 0);
    return stack;
}

static bool is_on(const stack_t *stack, const void *address)
{
    return (const char *)address >= (const char *)stack->ss_sp &&
           (const char *)address < (const char *)stack->ss_sp + stack->ss_size;
}

static void on_signal(int number)
{
    int here;

    CHECK(is_on(&main_stack, &here));
}

/* Stays on the alternate stack, through all checkpoints. */
static void stay(int number)
{
    stack_t now;
    int here;

    for (;;) {
        CHECK(is_on(&thread_stack, &here));
        CHECK(sigaltstack(NULL, &now) == 0);
        CHECK(now.ss_sp == thread_stack.ss_sp);
        CHECK_EQ(now.ss_size, SIZE);
        CHECK_EQ(now.ss_flags, SS_ONSTACK);
        on_stack_rounds++;
        sem_post(&answered);
        while (sem_wait(&asked) < 0)
            ;
    }
}

static void *run(void *arg)
{
    thread_stack = make();
    raise(SIGUSR2);
    return arg;
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};

    MUST(sigaction(number, &action, NULL) == 0);
}

static void wait_for_thread(void)
{
    while (sem_wait(&answered) < 0)
        ;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    stack_t now;

    victim_init(argc, argv);
    MUST(sem_init(&asked, 0, 0) == 0 && sem_init(&answered, 0, 0) == 0);
    main_stack = make();
    handle(SIGUSR1, on_signal);
    handle(SIGUSR2, stay);
    MUST(pthread_create(&thread, NULL, run, NULL) == 0);
    wait_for_thread();
    victim_ready();
    while (victim_wait()) {
        CHECK(sigaltstack(NULL, &now) == 0);
        CHECK(now.ss_sp == main_stack.ss_sp);
        CHECK_EQ(now.ss_size, SIZE);
        CHECK_EQ(now.ss_flags, 0);
        raise(SIGUSR1);
        sem_post(&asked);
        wait_for_thread();
        CHECK_EQ(on_stack_rounds, victim_round + 1);
    }
    return 0;
}
