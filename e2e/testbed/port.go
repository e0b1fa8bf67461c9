package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// handed are the ports that this process has given out.
var handed = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePorts finds n ports of the loopback address that nobody has, for TCP and UDP, and gives
// none out twice. They are below those that the system gives to outgoing connections, so that
// none is taken before it is used, and a node that is down keeps its own.
func FreePorts(n int) ([]int, error) {
	handed.Lock()
	defer handed.Unlock()
	var out []int
	for range 5000 {
		if len(out) == n {
			return out, nil
		}
		port := 12000 + rand.IntN(20000)
		if handed.ports[port] || !free(port) {
			continue
		}
		handed.ports[port] = true
		out = append(out, port)
	}
	return nil, errors.New("no free ports")
}

func free(port int) bool {
	at := fmt.Sprintf("127.0.0.1:%d", port)
	tcp, err := net.Listen("tcp", at)
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", at)
	if err != nil {
		return false
	}
	udp.Close()
	return true
}
