# Perl with workers: forked children with pipes both ways, a lock on a shared file, an alarm.
# needs: perl
# run: perl {src}
# progress: 2
# until: finish
# cycles: 2
# situations: -new
#     (it waits for its workers by their PIDs)
# answer: all sums were right, 4 workers ended
use strict;
use warnings;
use Fcntl qw(:flock);
use IO::Handle;

STDOUT->autoflush(1);
open(my $lock, '>', 'lock') or die "lock: $!";
my @workers;
for my $number (1 .. 4) {
    pipe(my $in, my $to)   or die "pipe: $!";
    pipe(my $from, my $out) or die "pipe: $!";
    $_->autoflush(1) for $to, $out;
    my $pid = fork() // die "fork: $!";
    if (!$pid) {
        close $to;
        close $from;
        close $_->{to} for @workers;
        open(my $mine, '>', 'lock') or die "lock: $!";
        while (my $line = <$in>) {
            flock($mine, LOCK_EX) or die "flock: $!";
            my $sum = 0;
            $sum += $_ * $number for split ' ', $line;
            flock($mine, LOCK_UN);
            print $out "$sum\n";
        }
        exit $number;
    }
    close $in;
    close $out;
    push @workers, { pid => $pid, to => $to, from => $from, number => $number };
}

my ($round, $alarms) = (0, 0);
local $SIG{ALRM} = sub { $alarms++; alarm 1 };
alarm 1;
until (-e 'finish') {
    $round++;
    for my $i (1 .. 50) {
        print { $_->{to} } join(' ', $i .. $i + 200), "\n" for @workers;
        for my $worker (@workers) {
            my $sum = readline($worker->{from});
            die "worker $worker->{number} said $sum"
                if $sum != $worker->{number} * 201 * ($i + 100);
        }
    }
    print "round $round\n";
}
close $_->{to} for @workers;
my $ended = 0;
for my $worker (@workers) {
    waitpid($worker->{pid}, 0) == $worker->{pid} or die "waitpid: $!";
    $ended++ if $? >> 8 == $worker->{number};
}
print "all sums were right, $ended workers ended\n";
