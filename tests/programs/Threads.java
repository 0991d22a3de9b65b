// Java threads: a pool, a scheduled task, a monitor, and objects to collect.
// needs: java javac
// build: javac -d {bin} {src}
// run: java -cp {bin} Threads
// progress: 3
// answer: total 1333333000
import java.util.concurrent.*;

public class Threads {
    static long total;

    static synchronized void add(long n) {
        total += n;
    }

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        ScheduledExecutorService clock = Executors.newScheduledThreadPool(1);
        CountDownLatch ticks = new CountDownLatch(20);
        clock.scheduleAtFixedRate(ticks::countDown, 100, 100, TimeUnit.MILLISECONDS);
        for (int step = 0; step < 20; step++) {
            CountDownLatch done = new CountDownLatch(100);
            for (int i = 0; i < 100; i++) {
                final long n = step * 100 + i;
                pool.submit(() -> {
                    long[] garbage = new long[10000];
                    java.util.Arrays.fill(garbage, n);
                    add(garbage[9999] * (n + 1) / 2);
                    done.countDown();
                });
            }
            done.await();
            Thread.sleep(100);
            System.out.println("step " + step);
        }
        ticks.await();
        pool.shutdown();
        clock.shutdownNow();
        System.out.println("total " + total);
    }
}
