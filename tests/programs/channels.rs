// Threads, channels, a mutex with a condition variable, panics that are caught.
// needs: rustc
// build: rustc -O -o {bin} {src}
// progress: 3
// answer: hash da9caecf71086980
use std::sync::{mpsc, Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

fn main() {
    let gate = Arc::new((Mutex::new(0u32), Condvar::new()));
    let (sender, receiver) = mpsc::channel::<u64>();
    let mut workers = Vec::new();
    for id in 0..8u64 {
        let (gate, sender) = (Arc::clone(&gate), sender.clone());
        workers.push(thread::spawn(move || {
            for step in 1..=25u32 {
                let (lock, opened) = &*gate;
                let guard = opened.wait_while(lock.lock().unwrap(), |at| *at < step).unwrap();
                drop(guard);
                let mut x = id * 1000 + u64::from(step);
                for _ in 0..100_000 {
                    x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                }
                sender.send(x).unwrap();
            }
        }));
    }
    drop(sender);
    let mut hash = 0u64;
    for step in 1..=25u32 {
        let (lock, opened) = &*gate;
        *lock.lock().unwrap() = step;
        opened.notify_all();
        for _ in 0..8 {
            hash ^= receiver.recv().unwrap();
        }
        println!("step {step}");
        thread::sleep(Duration::from_millis(90));
    }
    for worker in workers {
        worker.join().unwrap();
    }
    println!("hash {hash:016x}");
}
