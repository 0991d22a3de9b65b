/*
 * io_uring_forms.c - rings of other forms: larger entries, without an array, of odd sizes; with
 * answers that wait
 */
#include "victim_uring.h"

static const struct {
    uint32_t flags, entries, cq_entries;
} forms[] = {
    {0, 1, 0},
    {0, 4, 64},
    {0, 256, 0},
    {RING_SQE128, 8, 0},
    {RING_CQE32, 8, 0},
    {RING_SQE128 | RING_CQE32, 64, 0},
    {RING_NO_SQARRAY, 8, 0},
    {RING_NO_SQARRAY | RING_SQE128, 128, 0},
};
#define N_FORMS ((int)(sizeof(forms) / sizeof(forms[0])))

/* An older kernel doesn't have all of them. */
static void make(struct ring *r, int i)
{
    ring_try(r, forms[i].entries, forms[i].flags, forms[i].cq_entries);
}

static void check(struct ring *r, int i)
{
    if (r->fd < 0)
        return;
    ring_expect(r, 4711 + i, 0);
    ring_spin(r, 50 + i);
    CHECK_EQ(ring_waiting(r), 0);
    ring_next(r, IORING_OP_NOP, 4711 + i);
    ring_submit(r, 1);
}

int main(int argc, char **argv)
{
    struct ring rings[N_FORMS];

    victim_init(argc, argv);
    for (int i = 0; i < N_FORMS; i++) {
        make(&rings[i], i);
        if (rings[0].fd < 0) {
            perror("io_uring_setup");
            return 77;
        }
        if (rings[i].fd < 0)
            continue;
        ring_spin(&rings[i], 20 + i);
        ring_next(&rings[i], IORING_OP_NOP, 4711 + i);
        ring_submit(&rings[i], 1);
    }
    victim_ready();
    while (victim_wait())
        for (int i = 0; i < N_FORMS; i++)
            check(&rings[i], i);
    return 0;
}
