/*
 * Four ranks of Open MPI under mpirun: a ring and an allreduce, every value verified.
 *
 * needs: mpirun.openmpi mpicc.openmpi
 * build: mpicc.openmpi -O1 -I {top}/tests/programs -o {bin} {src}
 * run: mpirun.openmpi --allow-run-as-root --oversubscribe -np 4 {bin}
 * progress: 2
 * until: finish
 * cycles: 2
 * situations: -new
 *     (its session directory is named by the PID of mpirun)
 * answer: every value was right on 4 ranks
 */
#include "mpi_ring.h"
