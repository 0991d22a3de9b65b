! Heat in a plate, in OpenMP threads, with a scratch file that has no name any more.
! needs: gfortran
! build: gfortran -O2 -fopenmp -o {bin} {src}
! run: env OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive {bin}
! progress: 3
! answer: heat 3174799.6593
program heat
  implicit none
  integer, parameter :: n = 400, steps = 24
  real(8) :: a(0:n+1, 0:n+1), b(0:n+1, 0:n+1), back
  integer :: i, j, k, step
  a = 0
  a(0, :) = 100
  a(:, n+1) = 50
  b = a
  open(20, status='scratch', form='unformatted', access='stream')
  do step = 1, steps
    do k = 1, 500
      !$omp parallel do private(i)
      do j = 1, n
        do i = 1, n
          b(i, j) = (a(i-1, j) + a(i+1, j) + a(i, j-1) + a(i, j+1)) / 4
        end do
      end do
      !$omp end parallel do
      a = b
    end do
    write(20) sum(a)
    write(*, '(a, i0)') 'step ', step
    flush(6)
  end do
  rewind(20)
  do step = 1, steps
    read(20) back
  end do
  if (back /= sum(a)) stop 1
  write(*, '(a, f0.4)') 'heat ', sum(a)
end program
