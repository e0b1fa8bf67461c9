package netns

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestCutsAndHeals sends datagrams between hosts: what is cut does not arrive, the
// other direction and the other hosts do not notice.
func TestCutsAndHeals(t *testing.T) {
	t.Parallel()
	w, err := New(3)
	if errors.Is(err, ErrUnavailable) && os.Getuid() != 0 {
		t.Logf("NOT TESTED: %v", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	link := w.link
	at := map[int]net.PacketConn{}
	for i := range 4 { // 0 is the caller
		address := w.Address(i) + ":7"
		if i == 0 {
			address = w.Address(254) + ":7"
		}
		listen := func() (err error) { at[i], err = net.ListenPacket("udp4", address); return err }
		if i == 0 {
			err = listen()
		} else {
			err = w.On(i, listen)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer at[i].Close()
	}
	arrives := func(from, to int, want bool) {
		t.Helper()
		if _, err := at[from].WriteTo([]byte{byte(from)}, at[to].LocalAddr()); err != nil && want {
			t.Fatal(err)
		}
		wait := 5 * time.Second
		if !want {
			wait = 50 * time.Millisecond
		}
		at[to].SetReadDeadline(time.Now().Add(wait))
		var b [1]byte
		if _, _, err := at[to].ReadFrom(b[:]); (err == nil) != want {
			t.Errorf("from %d to %d: %v, want it to arrive: %v", from, to, err, want)
		}
	}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	arrives(1, 2, true)
	check("asymmetric", w.Lose(1, 2, 100))
	arrives(1, 2, false)
	arrives(2, 1, true)
	check("bridge", w.Cut(1, 2))
	arrives(2, 1, false)
	arrives(1, 3, true)
	arrives(3, 2, true)
	check("isolate", w.Isolate(3))
	arrives(1, 3, false)
	arrives(3, 2, false)
	arrives(0, 3, true)
	arrives(3, 0, true)
	check("heal", w.Heal())
	arrives(1, 2, true)
	arrives(2, 3, true)
	check("loss", w.Lose(1, 2, 50))
	got := 0
	for range 200 {
		at[1].WriteTo([]byte{1}, at[2].LocalAddr())
	}
	for at[2].SetReadDeadline(time.Now().Add(100 * time.Millisecond)); ; got++ {
		var b [1]byte
		if _, _, err := at[2].ReadFrom(b[:]); err != nil {
			break
		}
	}
	if got < 50 || got > 150 {
		t.Errorf("%d of 200 arrived although half should be lost", got)
	}
	w.Close()
	if _, err := net.InterfaceByName(link); err == nil {
		t.Errorf("interface %s is still there", link)
	}
}

// TestEndsWithItsProcesses: what runs on a host has its address there only.
func TestEndsWithItsProcesses(t *testing.T) {
	t.Parallel()
	w, err := New(2)
	if err != nil && os.Getuid() != 0 {
		t.Logf("NOT TESTED: %v", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var l net.Listener
	err = w.On(2, func() (err error) { l, err = net.Listen("tcp4", w.Address(2)+":80"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			io.WriteString(c, "two")
			c.Close()
		}
	}()
	c, err := net.DialTimeout("tcp4", w.Address(2)+":80", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(c); string(b) != "two" {
		t.Errorf("host 2 said %q, %v", b, err)
	}
	if l, err := net.Listen("tcp4", w.Address(2)+":81"); err == nil {
		l.Close()
		t.Error("the address of host 2 is here, too")
	}
}
