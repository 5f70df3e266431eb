package harness

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// NATS is one NATS server with JetStream, or a cluster of three. Its servers can be killed and started again one by one: each
// keeps its addresses and its directory.
type NATS struct {
	Servers []*Process

	t       testing.TB
	clients []string // addresses
	monitor []string
}

// NATS starts a single server, and returns when it is ready.
func (p *Programs) NATS(t testing.TB) *NATS { return p.startNATS(t, 1, "") }

// NATSWith starts a single server with this in its configuration file. What NATS says on the command line is added.
func (p *Programs) NATSWith(t testing.TB, config string) *NATS { return p.startNATS(t, 1, config) }

// Cluster starts three servers that know each other, and returns when streams of three replicas can be made.
func (p *Programs) Cluster(t testing.TB) *NATS { return p.startNATS(t, 3, "") }

func (p *Programs) startNATS(t testing.TB, size int, config string) *NATS {
	t.Helper()
	n := &NATS{t: t}
	var routes []string
	for range size {
		n.clients = append(n.clients, embeddedtest.FreeAddress(t))
		n.monitor = append(n.monitor, embeddedtest.FreeAddress(t))
		routes = append(routes, "nats://"+embeddedtest.FreeAddress(t))
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatalf("a NATS server's configuration must be written: %v", err)
	}
	for i := range size {
		name := fmt.Sprintf("nats-%d", i+1)
		args := []string{
			"--config", file, "--name", name, "--addr", "127.0.0.1", "--port", portOf(n.clients[i]), "--http_port", portOf(n.monitor[i]),
			"--jetstream", "--store_dir", filepath.Join(dir, name),
		}
		if size > 1 {
			args = append(args, "--cluster_name", "invited", "--cluster", routes[i], "--routes", strings.Join(routes, ","))
		}
		n.Servers = append(n.Servers, p.Process(t, name, NATSServer, nil, args...))
	}
	for _, s := range n.Servers {
		s.Start()
	}
	n.AwaitReady()
	return n
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// URL is how clients reach all servers.
func (n *NATS) URL() string { return "nats://" + strings.Join(n.clients, ",nats://") }

// URLOf is how clients reach one server.
func (n *NATS) URLOf(server int) string { return "nats://" + n.clients[server] }

// AwaitReady waits until all servers are up, and know each other. They must all have been started.
func (n *NATS) AwaitReady() {
	n.t.Helper()
	Until(n.t, patience, "NATS is ready", func() bool {
		for i, address := range n.monitor {
			if !n.Servers[i].Running() {
				n.t.Fatalf("%s does not run", n.Servers[i].name)
			}
			if status, _ := Get(n.t, "http://"+address+"/healthz"); status != http.StatusOK {
				return false
			}
		}
		return len(n.Servers) == 1 || n.together()
	})
}

// together says whether one server leads the others, and they follow.
func (n *NATS) together() bool {
	for _, address := range n.monitor {
		var js struct {
			Meta struct {
				Replicas []struct{ Current, Offline bool } // the leader's page alone has them
			} `json:"meta_cluster"`
		}
		getJSON(n.t, "http://"+address+"/jsz", &js)
		following := 0
		for _, r := range js.Meta.Replicas {
			if r.Current && !r.Offline {
				following++
			}
		}
		if following == len(n.Servers)-1 {
			return true
		}
	}
	return false
}

// Connect connects as a worker does, until the test ends.
func (n *NATS) Connect(t testing.TB) *nats.Conn {
	t.Helper()
	conn, err := queue.Connect(queue.ConnectOptions{URL: n.URL(), Name: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("a test must reach its NATS: %v", err)
	}
	t.Cleanup(conn.Close)
	return conn
}
