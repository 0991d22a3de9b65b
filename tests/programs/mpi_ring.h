/*
 * A program of MPI: its ranks send around a ring and sum up over all, and verify every value. Each
 * implementation of MPI has a file that includes this one and says how it is built and run.
 */
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>

enum { N = 4096 };

static int ring(int rank, int size, int round)
{
    static int out[N], in[N];

    for (int i = 0; i < N; i++)
        out[i] = rank * 1000003 + round + i;
    for (int hop = 0; hop < size; hop++) {
        MPI_Sendrecv(out, N, MPI_INT, (rank + 1) % size, 7, in, N, MPI_INT,
                     (rank + size - 1) % size, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        int from = (rank + 2 * size - hop - 1) % size;
        for (int i = 0; i < N; i++) {
            if (in[i] != from * 1000003 + round + i)
                return 1;
            out[i] = in[i];
        }
    }
    return 0;
}

static int allreduce(int rank, int size, int round)
{
    static double in[N], out[N];

    for (int i = 0; i < N; i++)
        in[i] = (double)i * (rank + 1) + round;
    MPI_Allreduce(in, out, N, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    for (int i = 0; i < N; i++)
        if (out[i] != (double)i * (size * (size + 1) / 2) + (double)size * round)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    int rank, size, more = 1, wrong = 0;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (int round = 0; more; round++) {
        for (int i = 0; i < 3; i++)
            wrong |= ring(rank, size, round) | allreduce(rank, size, round);
        if (rank == 0) {
            printf("round %d\n", round);
            fflush(stdout);
            more = access("finish", F_OK) != 0;
        }
        MPI_Bcast(&more, 1, MPI_INT, 0, MPI_COMM_WORLD);
    }
    MPI_Allreduce(MPI_IN_PLACE, &wrong, 1, MPI_INT, MPI_BOR, MPI_COMM_WORLD);
    if (rank == 0)
        printf("every value was %s on %d ranks\n", wrong ? "wrong" : "right", size);
    MPI_Finalize();
    return wrong;
}
