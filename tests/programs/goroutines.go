// Goroutines, channels, timers, a mutex, and a garbage collector at work.
// needs: go
// build: env CGO_ENABLED=0 go build -o {bin} {src}
// progress: 3
// answer: sum 333283335000 in 25 steps
package main

import (
	"fmt"
	"sync"
	"time"
)

func worker(in <-chan int, out chan<- int) {
	for n := range in {
		buffer := make([]int, 2000) // something to collect
		for i := range buffer {
			buffer[i] = n
		}
		out <- buffer[len(buffer)-1] * n
	}
}

func main() {
	in, out := make(chan int), make(chan int, 100)
	var workers sync.WaitGroup
	for i := 0; i < 50; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			worker(in, out)
		}()
	}
	sum, summed := 0, make(chan bool)
	go func() {
		for n := range out {
			sum += n
		}
		summed <- true
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	late := time.NewTimer(2 * time.Second)
	const steps = 25
	for step := 0; step < steps; step++ {
		for n := step * 400; n < (step+1)*400; n++ {
			in <- n * 10 / 10
		}
		<-tick.C
		fmt.Println("step", step)
	}
	<-late.C
	close(in)
	workers.Wait()
	close(out)
	<-summed
	fmt.Println("sum", sum, "in", steps, "steps")
}
