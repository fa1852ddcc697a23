// Goroutines that take three locks at random. The owner of such a lock is a goroutine, which the kernel does not know.
package main

import (
	"math/rand"
	"os"
	"runtime"
	"sync"
	"time"
)

func main() {
	// As long as the file of `stuck random`, and empty: no thread has had a lock.
	if err := os.WriteFile(os.Args[2], make([]byte, 8*10*8), 0o600); err != nil {
		panic(err)
	}
	var locks [3]sync.Mutex
	for i := 0; i < 8; i++ {
		go func() {
			runtime.LockOSThread()
			for {
				lock := &locks[rand.Intn(len(locks))]
				lock.Lock()
				time.Sleep(time.Duration(rand.Intn(8000)) * time.Microsecond)
				lock.Unlock()
			}
		}()
	}
	os.Stdout.WriteString("ready\n")
	select {}
}
