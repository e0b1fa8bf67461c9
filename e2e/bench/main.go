// Command bench measures quis from outside and prints a table; with -json FILE it
// also writes the figures as JSON. `make bench` runs it.
//
// Rates per core are requests divided by the CPU seconds that the server process
// used (GOMAXPROCS=1), so that the load generator and other work on the machine
// do not count; the plain rate is there as well. Replicated writes run in three
// processes with fsync on, all on this machine's disk and cores. Figures are for
// comparing releases on one machine, and for finding out what a change costs: they
// are measurements, not tests.
//
// `-only scale` takes long (a million users, ten million sessions) and is not part
// of the default.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/quis-idp/quis/e2e/testbed"
)

// A figure is one measured value with what it should be.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Goal  string  `json:"goal,omitempty"`
	Note  string  `json:"note,omitempty"`
}

// A report is what bench.json holds.
type report struct {
	Time    time.Time `json:"time"`
	CPU     string    `json:"cpu"`
	Cores   int       `json:"cores"`
	Go      string    `json:"go"`
	Figures []figure  `json:"figures"`
}

// The measurements, in the order in which they run.
var measurements = []struct {
	name string
	run  func(ctx context.Context, o options) ([]figure, error)
}{
	{"writes", replicatedWrites},
	{"start", startToReady},
	{"rss", idleMemory},
	{"tokens", tokenRates(1)},
	{"tokens3", tokenRates(3)},
	{"busy", tokensWhileHashing},
	{"signin", signInRate},
	{"passkey", passkeyRate},
	{"flood", flood},
	{"timing", timing},
	{"scale", scale},
}

type options struct {
	duration time.Duration
	sizes    []int // of scale, in users
	sessions int   // of scale, for each user
}

func main() {
	for env, child := range map[string]interface{ run() error }{nodeEnv: &nodeConfig{}, fillEnv: &order{}, floodEnv: &flooder{}} {
		if text := os.Getenv(env); text != "" {
			beChild(text, child)
			return
		}
	}
	debug.SetGCPercent(1000)                                                  // collections of the load generator are not what is measured
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 2 * callers // who keep their connections
	var o options
	file := flag.String("json", "", "write the figures to this `file`")
	only := flag.String("only", "", "comma-separated `names` of measurements: writes,start,rss,tokens,tokens3,busy,signin,passkey,flood,timing (the default), scale")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "length of each load")
	sizes := flag.String("sizes", "10000,100000,1000000", "`numbers` of users at which scale measures")
	flag.IntVar(&o.sessions, "sessions", 10, "sessions of each user in scale")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if o.sizes, err = parseSizes(*sizes); err == nil {
		err = run(ctx, o, *only, *file)
	}
	testbed.RemoveBinary()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// beChild is what this process does in place of measuring, as its parent orders.
func beChild(text string, child interface{ run() error }) {
	err := json.Unmarshal([]byte(text), child)
	if err == nil {
		err = child.run()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench %T: %s\n", child, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, only, file string) error {
	var failed error // what was measured is shown all the same
	r := report{Time: time.Now().UTC().Truncate(time.Second), CPU: cpuModel(), Cores: runtime.NumCPU(), Go: runtime.Version()}
	for _, m := range measurements {
		if only == "" && m.name == "scale" || only != "" && !slices.Contains(strings.Split(only, ","), m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s …\n", m.name)
		figures, err := m.run(ctx, o)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", m.name, err))
		}
		r.Figures = append(r.Figures, figures...)
	}
	r.print()
	if failed != nil || file == "" {
		return failed
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func (r report) print() {
	fmt.Printf("%s, %d cores, %s, %s\n\n", r.CPU, r.Cores, r.Go, r.Time.Format(time.DateOnly))
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "measured\tvalue\tunit\tgoal\t ")
	for _, f := range r.Figures {
		value := fmt.Sprintf("%.0f", f.Value)
		if f.Value < 100 {
			value = fmt.Sprintf("%.2f", f.Value)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t  %s\n", f.Name, value, f.Unit, f.Goal, f.Note)
	}
	w.Flush()
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}
