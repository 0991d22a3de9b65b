/*
 * opal_self.c - a solver that saves its own state, with the component `self`
 *
 * test: sh -c '{bin} 300 >a && {bin} 300 150 >b && {restart} heat >>b && cmp a b'
 *
 * Heat spreads in a plate, step by step. Only the plate and the number of the step are worth
 * saving: heat_checkpoint() writes them into the snapshot's directory. When the program is
 * restarted it begins with main() again, with the same arguments, and opal_init() calls
 * heat_restart(), which reads them. The prefix of the names is given here by the environment; `-mca
 * crs_self_prefix heat` on the command line does the same.
 *
 *     opal_self STEPS [STEP-AT-WHICH-TO-SAVE-AND-END]
 *     opal-restart heat
 */
#include <opal/mca/crs/base/base.h>
#include <opal/runtime/opal.h>
#include <opal/runtime/opal_cr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 200

static struct {
    int step;
    double plate[SIZE][SIZE];
} state;

static double next[SIZE][SIZE];

static FILE *open_state(const char *mode)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/plate", opal_crs_base_self_snapshot_directory());
    return fopen(path, mode);
}

/* No restart command: the program's own command line is used. */
int heat_checkpoint(char **restart_cmd)
{
    FILE *file = open_state("w");
    bool written = file && fwrite(&state, sizeof(state), 1, file) == 1;

    (void)restart_cmd;
    return file && fclose(file) == 0 && written ? OPAL_SUCCESS : OPAL_ERROR;
}

int heat_continue(void)
{
    return OPAL_SUCCESS;
}

int heat_restart(void)
{
    FILE *file = open_state("r");
    bool read = file && fread(&state, sizeof(state), 1, file) == 1;

    if (file)
        fclose(file);
    return read ? OPAL_SUCCESS : OPAL_ERROR;
}

static void step(void)
{
    for (int y = 1; y < SIZE - 1; y++)
        for (int x = 1; x < SIZE - 1; x++)
            next[y][x] = (state.plate[y - 1][x] + state.plate[y + 1][x] + state.plate[y][x - 1] +
                          state.plate[y][x + 1]) /
                         4;
    for (int y = 1; y < SIZE - 1; y++)
        memcpy(&state.plate[y][1], &next[y][1], (SIZE - 2) * sizeof(double));
    state.step++;
}

static int save_and_end(void)
{
    opal_crs_base_ckpt_options_t *options = OBJ_NEW(opal_crs_base_ckpt_options_t);

    options->term = true;
    return opal_cr_request_checkpoint(options, "heat", NULL, NULL, NULL);
}

int main(int argc, char **argv)
{
    int steps = argc > 1 ? atoi(argv[1]) : 300, save_at = argc > 2 ? atoi(argv[2]) : -1;
    double sum = 0;

    for (int x = 0; x < SIZE; x++)
        state.plate[0][x] = 100;
    setenv("OPAL_MCA_crs_self_prefix", "heat", 0);
    if (opal_init(&argc, &argv) != OPAL_SUCCESS)
        return 1;
    while (state.step < steps) {
        step();
        if (state.step == save_at && !opal_cr_is_restarted() && save_and_end() != OPAL_SUCCESS)
            return 1;
    }
    for (int i = 0; i < SIZE; i++)
        sum += state.plate[i][i];
    printf("%d steps: %.17g\n", state.step, sum);
    return opal_finalize() == OPAL_SUCCESS ? 0 : 1;
}
