package queue_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// serve makes this test binary three NATS servers instead of tests: a process of
// their own, so that what they take of a CPU is not what the workers take.
var serve = flag.String("scale.serve", "", "internal: be a cluster of NATS servers, on a `directory and three addresses`")

func TestMain(m *testing.M) {
	flag.Parse()
	if *serve != "" {
		fields := strings.Fields(*serve)
		serveCluster(fields[0], fields[1:])
		return
	}
	goleak.VerifyTestMain(m)
}

// cluster is three NATS servers in another process.
type cluster struct {
	b       *testing.B
	urls    string
	in      io.WriteCloser
	answers *bufio.Scanner
	clients int
}

// usage is what the three servers have taken, together.
type usage struct {
	CPU       time.Duration
	Heap      int64
	Delivered int64 // messages to clients
	Received  int64 // and from them
}

func startCluster(b *testing.B) *cluster {
	b.Helper()
	self, err := os.Executable()
	require.NoError(b, err)
	arg := b.TempDir()
	for range 3 {
		arg += " " + embeddedtest.FreeAddress(b)
	}
	cmd := exec.CommandContext(b.Context(), self, "-scale.serve", arg)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = in.Close() // ends it
		_ = cmd.Wait()
	})
	c := &cluster{b: b, in: in, answers: bufio.NewScanner(out)}
	require.True(b, c.answers.Scan(), "the servers must start")
	c.urls = c.answers.Text()
	return c
}

// usage asks the servers.
func (c *cluster) usage() (u usage) {
	c.b.Helper()
	_, err := io.WriteString(c.in, "\n")
	require.NoError(c.b, err)
	require.True(c.b, c.answers.Scan())
	require.NoError(c.b, json.Unmarshal(c.answers.Bytes(), &u))
	return u
}

// connect connects to the servers in turn.
func (c *cluster) connect() *nats.Conn {
	c.b.Helper()
	urls := strings.Split(c.urls, ",")
	c.clients++
	nc, err := nats.Connect(urls[c.clients%len(urls)], nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	require.NoError(c.b, err)
	c.b.Cleanup(nc.Close)
	return nc
}

// serveCluster is the other process: it says where clients connect, and what it
// has taken for each line that it is given.
func serveCluster(dir string, routes []string) {
	var servers []*server.Server
	var urls []string
	for i, route := range routes {
		host, port, _ := net.SplitHostPort(route)
		n, _ := strconv.Atoi(port)
		s, err := server.NewServer(&server.Options{
			ServerName: "n" + strconv.Itoa(i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: dir + "/n" + strconv.Itoa(i), JetStreamMaxMemory: 8 << 30, JetStreamMaxStore: 8 << 30,
			MaxPayload: embedded.MaxPayload,
			Cluster:    server.ClusterOpts{Name: "scale", Host: host, Port: n},
			Routes:     server.RoutesFromStr("nats://" + strings.Join(routes, ",nats://")),
		})
		if err != nil {
			panic(err)
		}
		s.Start()
		servers = append(servers, s)
		urls = append(urls, s.ClientURL())
	}
	for late := time.After(time.Minute); !together(servers); {
		select {
		case <-late:
			panic("no cluster in a minute")
		case <-time.After(10 * time.Millisecond):
		}
	}
	fmt.Println(strings.Join(urls, ","))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		u := usage{CPU: cpu()}
		for _, s := range servers {
			z, _ := s.Varz(nil)
			u.Delivered += z.OutClientMsgs
			u.Received += z.InClientMsgs
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		u.Heap = int64(m.HeapAlloc)
		data, _ := json.Marshal(u)
		fmt.Println(string(data))
	}
	for _, s := range servers {
		s.Shutdown()
	}
}

func together(servers []*server.Server) bool {
	led := false
	for _, s := range servers {
		if !s.JetStreamIsCurrent() {
			return false
		}
		led = led || s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(servers)
	}
	return led
}
