package harness

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
	routes  []string // of a cluster
}

// NATS starts a single server, and returns when it is ready.
func (p *Programs) NATS(t testing.TB) *NATS { return p.startNATS(t, 1) }

// NATSWith starts a single server with a configuration file, and these variables in its environment. Its addresses are the
// harness's, whatever the file says. The file has JetStream on, in the directory $NATS_STORE_DIR.
func (p *Programs) NATSWith(t testing.TB, config string, env ...string) *NATS {
	t.Helper()
	return p.startNATSWith(t, 1, func(dir string, _ []string) (flags, variables []string) {
		return []string{"--config", config}, append(slices.Clone(env), "NATS_STORE_DIR="+dir)
	})
}

// Cluster starts three servers that know each other, and returns when streams of three replicas can be made.
func (p *Programs) Cluster(t testing.TB) *NATS { return p.startNATS(t, 3) }

// ClusterWith is Cluster with a configuration file, as NATSWith has it. The file takes each server's name from $NATS_NAME, and
// the routes, between servers on localhost, from $NATS_ROUTES.
func (p *Programs) ClusterWith(t testing.TB, config string, env ...string) *NATS {
	t.Helper()
	return p.startNATSWith(t, 3, func(dir string, routes []string) (flags, variables []string) {
		var urls []string
		for _, address := range routes {
			urls = append(urls, strconv.Quote("nats://localhost:"+portOf(address)))
		}
		return []string{"--config", config}, append(slices.Clone(env),
			"NATS_STORE_DIR="+dir, "NATS_NAME="+filepath.Base(dir), "NATS_ROUTES=["+strings.Join(urls, ", ")+"]")
	})
}

func (p *Programs) startNATS(t testing.TB, size int) *NATS {
	t.Helper()
	return p.startNATSWith(t, size, func(dir string, routes []string) (flags, env []string) {
		flags = []string{"--jetstream", "--store_dir", dir}
		if size > 1 {
			flags = append(flags, "--routes", "nats://"+strings.Join(routes, ",nats://"))
		}
		return flags, nil
	})
}

// startNATSWith asks for each server's own flags and environment, given its directory and where the servers reach each other.
func (p *Programs) startNATSWith(t testing.TB, size int, own func(dir string, routes []string) (flags, env []string)) *NATS {
	t.Helper()
	n := &NATS{t: t}
	for range size {
		n.clients = append(n.clients, embeddedtest.FreeAddress(t))
		n.monitor = append(n.monitor, embeddedtest.FreeAddress(t))
		n.routes = append(n.routes, embeddedtest.FreeAddress(t))
	}
	dir := t.TempDir()
	for i := range size {
		name := fmt.Sprintf("nats-%d", i+1)
		args := []string{
			"--name", name, "--addr", "127.0.0.1", "--port", portOf(n.clients[i]), "--http_port", portOf(n.monitor[i]),
		}
		if size > 1 {
			args = append(args, "--cluster_name", "invited", "--cluster", "nats://"+n.routes[i])
		}
		flags, env := own(filepath.Join(dir, name), n.routes)
		n.Servers = append(n.Servers, p.Process(t, name, NATSServer, env, append(args, flags...)...))
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

// Address is where clients reach one server.
func (n *NATS) Address(server int) string { return n.clients[server] }

// RouteAddress is where the other servers of a cluster reach one.
func (n *NATS) RouteAddress(server int) string { return n.routes[server] }

// AwaitLeader waits until a server is known to lead a stream.
func (n *NATS) AwaitLeader(stream string, conn *nats.Conn) (server int) {
	n.t.Helper()
	Until(n.t, patience, stream+" has a leader", func() (ok bool) {
		server, ok = n.LeaderOf(stream, conn)
		return ok
	})
	return server
}

// LeaderOf is the server that leads a stream; false: none, or nobody knows at the moment.
func (n *NATS) LeaderOf(stream string, conn *nats.Conn) (server int, ok bool) {
	m, err := conn.Request("$JS.API.STREAM.INFO."+stream, nil, time.Second) // a server that dies takes the question with it
	if err != nil {
		return 0, false
	}
	var info struct{ Cluster struct{ Leader string } }
	if json.Unmarshal(m.Data, &info) != nil {
		return 0, false
	}
	server = slices.IndexFunc(n.Servers, func(p *Process) bool { return p.name == info.Cluster.Leader })
	return server, server >= 0
}

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
		status, page := Get(n.t, "http://"+address+"/jsz")
		if status != http.StatusOK || json.Unmarshal([]byte(page), &js) != nil {
			return false // it has only just begun to listen
		}
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
