# Counts primes with a sieve in a string, keeps the gaps in a hash, sleeps by select.
# needs: perl
# run: perl {src}
# progress: 3
# answer: primes 148933 largest gap 132 after 1357201
use strict;
use warnings;

$| = 1;
my $limit = 2_000_000;
my $sieve = '';
my %gap;
my ($last, $count) = (2, 1);
for (my $n = 3; $n <= $limit; $n += 2) {
    next if vec($sieve, $n >> 1, 1);
    for (my $m = $n * $n; $m <= $limit; $m += 2 * $n) {
        vec($sieve, $m >> 1, 1) = 1;
    }
    $gap{$n - $last} //= $last;
    $last = $n;
    if (++$count % 10000 == 0) {
        print "found $count\n";
        select(undef, undef, undef, 0.1);
    }
}
my ($largest) = sort { $b <=> $a } keys %gap;
print "primes $count largest gap $largest after $gap{$largest}\n";
