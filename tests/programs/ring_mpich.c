/*
 * Four ranks of MPICH under mpirun: a ring and an allreduce, every value verified.
 *
 * needs: mpirun.mpich mpicc.mpich
 * build: mpicc.mpich -O1 -I {top}/tests/programs -o {bin} {src}
 * run: mpirun.mpich -np 4 {bin}
 * progress: 2
 * until: finish
 * cycles: 2
 * situations: -new
 *     (its launcher keeps the PIDs of its ranks)
 * answer: every value was right on 4 ranks
 */
#include "mpi_ring.h"
