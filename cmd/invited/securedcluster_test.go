package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

func TestThreeServersOfDeployGoOnWithoutOne(t *testing.T) {
	s := startSecuredCluster(t)
	sim := programs.Sim(t)
	worker := s.worker(t, harness.WorkerOptions{API: sim.URL, Replicas: 3})
	send := func(xuid string) (status int, out, errOut string) {
		t.Helper()
		return s.invitectl(t, producer, "send", "--title", "730", "--to", xuid, "--wait")
	}
	status, _, errOut := send("1")
	require.Zero(t, status, errOut)

	conn := s.connect(t, operator)
	for _, stream := range []string{
		"INVITES", "INVITE_CAMPAIGNS", "INVITE_DEAD", "INVITE_RESULTS", "INVITE_PROGRESS", "INVITE_KEYS", "INVITE_WORKERS", "INVITE_CONTROL",
	} {
		harness.Until(t, 20*time.Second, stream+" is on three servers", func() bool { return onThree(t, conn, stream) })
	}
	s.Servers[s.AwaitLeader("INVITES", conn)].Kill()
	harness.Until(t, 20*time.Second, "another server leads, and jobs are taken", func() bool {
		status, out, _ := send("2")
		return status == 0 && strings.Contains(out, "1 sent")
	})
	worker.Stop()
	assert.Equal(t, 2, sim.Ledger().Unique)
}

// onThree says whether a stream has a leader and two replicas that follow.
func onThree(t *testing.T, conn *nats.Conn, stream string) bool {
	t.Helper()
	m, err := conn.Request("$JS.API.STREAM.INFO."+stream, nil, 5*time.Second)
	if err != nil {
		return false
	}
	var info struct {
		Cluster struct {
			Leader   string
			Replicas []struct{ Current, Offline bool }
		}
	}
	require.NoError(t, json.Unmarshal(m.Data, &info))
	following := 0
	for _, replica := range info.Cluster.Replicas {
		if replica.Current && !replica.Offline {
			following++
		}
	}
	return info.Cluster.Leader != "" && following == 2
}

func TestOnlyServersOfTheClusterJoinIt(t *testing.T) {
	s := startSecuredCluster(t)
	stranger := newAuthority(t)
	for what, c := range map[string]struct {
		by   *authority
		name string
		in   bool
	}{
		"a server of the cluster":         {s.authority, "localhost", true},
		"a client's certificate":          {s.authority, "client", false},
		"another authority's certificate": {stranger, "localhost", false},
	} {
		cert, key := c.by.issue(t, c.name)
		assert.Equal(t, c.in, s.letsIn(t, cert, key), what)
	}
	assert.False(t, s.letsIn(t, "", ""), "no certificate")
}

// letsIn says whether a server takes who shows a certificate, or none, for another server: it answers its ping.
func (s secured) letsIn(t *testing.T, certFile, keyFile string) bool {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.RouteAddress(0))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	pem, err := os.ReadFile(s.authority.file)
	require.NoError(t, err)
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	require.True(t, config.RootCAs.AppendCertsFromPEM(pem))
	if certFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		require.NoError(t, err)
		config.Certificates = []tls.Certificate{cert}
	}
	secure := tls.Client(conn, config)
	_, err = fmt.Fprint(secure, "CONNECT {\"verbose\":false,\"tls_required\":true,\"name\":\"stranger\",\"cluster\":\"invited\"}\r\nPING\r\n")
	if err != nil {
		return false
	}
	for lines := bufio.NewScanner(secure); lines.Scan(); {
		if lines.Text() == "PONG" {
			return true
		}
	}
	return false
}
