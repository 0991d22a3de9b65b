// Go: an HTTP server, and a client in a process of its own that reports through a pipe.
// needs: go
// build: env CGO_ENABLED=0 go build -o {bin} {src}
// progress: 3
// until: finish
// cycles: 2
// full: yes
// situations: -new
//     (it waits for its child by its PID)
// answer: the client ended well, every answer was right
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// As many connections as questions at a time, made once and kept: none waits to be accepted when
// the program is frozen later.
var asker = &http.Client{Transport: &http.Transport{MaxConnsPerHost: 16, MaxIdleConnsPerHost: 16}}

func ask(address string, n int) error {
	question := strings.Repeat(fmt.Sprintf("question %d ", n), 100*n+1)
	response, err := asker.Post("http://"+address+"/", "text/plain", strings.NewReader(question))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && string(answer) != strings.ToUpper(question) {
		err = fmt.Errorf("question %d: a wrong answer of %d bytes", n, len(answer))
	}
	return err
}

func client(address string) {
	for round := 1; ; round++ {
		var all sync.WaitGroup
		for n := 0; n < 16; n++ {
			all.Add(1)
			go func(n int) {
				defer all.Done()
				if err := ask(address, n); err != nil {
					fmt.Println("wrong:", err)
					os.Exit(1)
				}
			}(n)
		}
		all.Wait()
		fmt.Println("round", round)
		if _, err := os.Stat("finish"); err == nil {
			return
		}
	}
}

func main() {
	if len(os.Args) > 1 {
		client(os.Args[1])
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		io.WriteString(w, strings.ToUpper(string(text)))
	}))
	child := exec.Command("/proc/self/exe", listener.Addr().String())
	child.Stderr = os.Stderr
	out, _ := child.StdoutPipe()
	if err := child.Start(); err != nil {
		panic(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Println(lines.Text())
	}
	if err := child.Wait(); err != nil {
		panic(err)
	}
	fmt.Println("the client ended well, every answer was right")
}
