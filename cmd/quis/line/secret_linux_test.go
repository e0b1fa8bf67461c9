package line

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// At a terminal a password is asked for twice; the terminal does not show it, and then shows again what is typed.
func TestPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ first, again, wrong string }{
		{"open sesame", "open sesame", ""},
		{"open sesame", "open sesam", "two different passwords"},
		{"", "", "no password was typed"},
	} {
		hand, tty := terminal(t)
		asked, out := io.Pipe()
		type answer struct {
			password string
			err      error
		}
		done := make(chan answer, 1)
		go func() {
			p, err := typedTwice(tty, out, "bob")
			out.Close()
			done <- answer{p, err}
		}()
		said := ""
		for _, typed := range []string{c.first, c.again} {
			for b := make([]byte, 1); !strings.HasSuffix(said, ": "); said += string(b) {
				if _, err := asked.Read(b); err != nil {
					break
				}
			}
			said += "|"
			if typed == "" && strings.Count(said, "|") > 1 {
				break
			}
			for echoes(t, tty) {
			}
			fmt.Fprintln(hand, typed)
		}
		go io.Copy(io.Discard, asked)
		got := <-done
		if c.wrong == "" && (got.err != nil || got.password != c.first) || c.wrong != "" && (got.err == nil || !strings.Contains(got.err.Error(), c.wrong)) {
			t.Errorf("%q, %q: %q, %v", c.first, c.again, got.password, got.err)
		}
		if !strings.HasPrefix(said, "New password for bob (it is not shown): |") {
			t.Errorf("asked %q", said)
		}
		if !echoes(t, tty) {
			t.Error("the terminal stays mute")
		}
		fmt.Fprint(tty, "end")
		if shown := upTo(t, hand, "end"); strings.Contains(shown, "sesam") {
			t.Errorf("shown: %q", shown)
		}
	}
}

// terminal returns both ends of a new terminal.
func terminal(t *testing.T) (hand, tty *os.File) {
	t.Helper()
	hand, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hand.Close() })
	if err := unix.IoctlSetPointerInt(int(hand.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(hand.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return hand, tty
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// upTo reads what a terminal shows until it ends with end.
func upTo(t *testing.T, hand *os.File, end string) (shown string) {
	t.Helper()
	for b := make([]byte, 1); !strings.HasSuffix(shown, end); shown += string(b) {
		if _, err := hand.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	return shown
}
