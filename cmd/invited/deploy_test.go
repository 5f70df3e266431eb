package main

import (
	"fmt"
	goversion "go/version"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/configs"
)

// No container engine runs these files here. So what can be known without one is tested: what they name is there, their commands
// are ours, and they agree with each other. The build itself is run: TestReleasedProgramsAreStaticAndTheSameBytesAnywhere.

// repository is the top of it, and inDeploy a file below deploy.
const repository = "../.."

func inDeploy(name string) string {
	return filepath.Join(repository, "deploy", filepath.FromSlash(name))
}

func TestTheImagesHaveNoShellAndNoRoot(t *testing.T) {
	d := readDockerfile(t)
	for _, target := range []string{"invited", "invitectl", "xblsim"} {
		entry := d.last(target, "ENTRYPOINT")
		assert.Equal(t, []string{"/" + target}, words(t, entry), target)
		assert.Regexp(t, `^[1-9]\d*:[1-9]\d*$`, d.last(target, "USER"), "%s: a number that is not root's", target)
		assert.Equal(t, "scratch", d.base(target), target)
		assert.NotContains(t, d.keywords(target), "RUN", "%s: nothing is there to run it", target)
		command := []string{"--help"}
		if cmd := d.last(target, "CMD"); cmd != "" {
			command = append(words(t, cmd), "--help")
		}
		status, _, errOut := programs.Run(t, target, command...)
		assert.Zero(t, status, "%s: %s", target, errOut)
	}
	check, isCommand := strings.CutPrefix(d.last("invited", "HEALTHCHECK"), "--interval=10s --timeout=3s --start-period=15s --retries=3 CMD ")
	require.True(t, isCommand)
	assert.Equal(t, []string{"/invited", "health", "--live"}, words(t, check))
	assert.Equal(t, d.last("invited", "VOLUME"), d.last("invited", "WORKDIR"), "the default data_dir is relative")
	assert.Equal(t, "invited", d.stages[len(d.stages)-1].name, "what a build without a target makes")
}

func TestImagesAreBuiltWithAGoThatIsNewEnoughAndTheSameForAll(t *testing.T) {
	d := readDockerfile(t)
	_, tag, ok := strings.Cut(d.base("build"), "golang:")
	require.True(t, ok, "an image of Go with a tag")
	compiler, _, _ := strings.Cut(tag, "-")
	mod, err := os.ReadFile(filepath.Join(repository, "go.mod"))
	require.NoError(t, err)
	wanted := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)[1]
	assert.GreaterOrEqual(t, goversion.Compare("go"+compiler, "go"+string(wanted)), 0, "the image has no other toolchain")
	release, err := os.ReadFile(filepath.Join(repository, ".github", "workflows", "release.yml"))
	require.NoError(t, err)
	assert.Contains(t, string(release), "go-version: "+compiler+"\n", "another compiler makes other bytes")
}

func TestReleasesAreBuiltLikeImages(t *testing.T) {
	var config struct {
		Builds []struct {
			Main, Binary   string
			Env            []string
			Flags, LDFlags []string
		}
		Archives []struct{ Files []struct{ Src string } }
		Images   []struct {
			IDs, Flags []string
			Dockerfile string
			BuildArgs  map[string]string `yaml:"build_args"`
		} `yaml:"dockers_v2"`
	}
	readYAML(t, filepath.Join(repository, ".goreleaser.yaml"), &config)
	d := readDockerfile(t)
	command := d.buildCommand(t)
	given := strings.NewReplacer("{{ .Tag }}", "$VERSION", "{{ .FullCommit }}", "$REVISION")
	require.Len(t, config.Builds, 3)
	for i, program := range []string{"invited", "invitectl", "xblsim"} {
		b := config.Builds[i]
		assert.Equal(t, program, b.Binary)
		assert.Contains(t, command, " "+b.Main)
		assert.Contains(t, command, strings.Join(b.Env, " ")+" ")
		assert.Contains(t, command, fmt.Sprintf(" go build %s -ldflags %q -o ", strings.Join(b.Flags, " "), given.Replace(strings.Join(b.LDFlags, " "))))

		image := config.Images[i]
		assert.Equal(t, []string{program}, image.IDs)
		assert.Equal(t, []string{"--target=" + program}, image.Flags)
		assert.NotNil(t, d.stage(program))
		assert.NotNil(t, d.stage(image.BuildArgs["BINARIES"]))
		assert.FileExists(t, filepath.Join(repository, image.Dockerfile))
	}
	for _, file := range config.Archives[0].Files {
		found, err := filepath.Glob(filepath.Join(repository, file.Src))
		require.NoError(t, err)
		assert.NotEmpty(t, found, file.Src)
	}
}

// Each archive has an SBOM, by a tool that the workflow installs; what is checked before is what then runs.
func TestReleasesAreCheckedAndHaveSBOMs(t *testing.T) {
	var config struct{ SBOMs []struct{ Artifacts string } }
	readYAML(t, filepath.Join(repository, ".goreleaser.yaml"), &config)
	require.Len(t, config.SBOMs, 1)
	assert.Equal(t, "archive", config.SBOMs[0].Artifacts)

	check, checks := goreleaser(t, "ci.yml", "release")
	assert.Equal(t, "check", check["args"])
	release, steps := goreleaser(t, "release.yml", "release")
	assert.Equal(t, "release --clean", release["args"])
	assert.Equal(t, release["version"], check["version"])
	assert.NotContains(t, checks, "docker/login-action", "a check needs no secret")
	gate, build := slices.Index(steps, "bash .ci/run"), slices.Index(steps, "goreleaser/goreleaser-action")
	assert.Less(t, gate, build, "what is not green is not released")
	assert.Contains(t, steps[:build], "anchore/sbom-action/download-syft")
}

// goreleaser is with what it is run in a job of a workflow, and which actions and commands that job has, in order.
func goreleaser(t *testing.T, workflow, job string) (with map[string]string, steps []string) {
	t.Helper()
	var w struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses, Run string
				With      map[string]any
			}
		}
	}
	readYAML(t, filepath.Join(repository, ".github", "workflows", workflow), &w)
	for _, s := range w.Jobs[job].Steps {
		name, _, _ := strings.Cut(s.Uses, "@")
		steps = append(steps, name+s.Run)
		if name == "goreleaser/goreleaser-action" {
			with = map[string]string{}
			for key, value := range s.With {
				with[key] = fmt.Sprint(value)
			}
		}
	}
	require.NotNil(t, with, "%s runs goreleaser", workflow)
	return with, steps
}

// composed is what the tests want to know of deploy/compose.yaml.
type composed struct {
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Image       string
	Build       struct{ Context, Dockerfile, Target string }
	Command     []string
	Entrypoint  []string
	Environment map[string]string
	Volumes     []string
	Ports       []string
	ReadOnly    bool          `yaml:"read_only"`
	CapDrop     []string      `yaml:"cap_drop"`
	NetworkMode string        `yaml:"network_mode"`
	Grace       time.Duration `yaml:"stop_grace_period"`
	Networks    struct{ Default struct{ Aliases []string } }
	Health      struct{ Test []string } `yaml:"healthcheck"`
}

func TestComposeNamesOnlyWhatIsThere(t *testing.T) {
	var c composed
	readYAML(t, inDeploy("compose.yaml"), &c)
	d := readDockerfile(t)
	for name, s := range c.Services {
		assert.Regexp(t, `^[\w./-]+:[\w.-]+$`, s.Image, "%s: an image has a tag", name)
		assert.NotContains(t, s.Image, ":latest", name)
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			switch {
			case strings.HasPrefix(source, "./.compose"): // made by the commands at its top
			case strings.HasPrefix(source, "./"):
				_, err := os.Stat(inDeploy(source))
				assert.NoError(t, err, name)
			default:
				assert.Contains(t, c.Volumes, source, name)
			}
		}
		for _, port := range s.Ports {
			assert.Regexp(t, `^127\.0\.0\.1:`, port, "%s: nobody else reaches it", name)
		}
		if shared, ok := strings.CutPrefix(s.NetworkMode, "service:"); ok {
			assert.Contains(t, c.Services, shared, name)
		}
		if s.Build.Context == "" {
			continue
		}
		assert.FileExists(t, inDeploy(s.Build.Context+"/"+s.Build.Dockerfile), name)
		require.NotNil(t, d.stage(s.Build.Target), name)
		assert.True(t, s.ReadOnly, name)
		assert.Equal(t, []string{"ALL"}, s.CapDrop, name)
		flags := append(slices.Clone(s.Entrypoint[min(1, len(s.Entrypoint)):]), s.Command...)
		status, _, errOut := programs.Run(t, s.Build.Target, append(flags, "--help")...)
		assert.Zero(t, status, "%s: %s", name, errOut)
	}
	mod, err := os.ReadFile(filepath.Join(repository, "go.mod"))
	require.NoError(t, err)
	server := regexp.MustCompile(`nats-server/v2 v(\S+)`).FindSubmatch(mod)[1]
	assert.Equal(t, "nats:"+string(server)+"-alpine", c.Services["nats"].Image, "the server that the tests run")
}

func TestComposeGivesNATSWhatItsConfigurationAsksFor(t *testing.T) {
	var c composed
	readYAML(t, inDeploy("compose.yaml"), &c)
	text, err := os.ReadFile(inDeploy("compose.yaml"))
	require.NoError(t, err)
	asked := regexp.MustCompile(`\$((?:NATS|INVITED)_\w+)`)
	for _, file := range []string{"nats/single.conf", "nats/users.conf"} {
		config, err := os.ReadFile(inDeploy(file))
		require.NoError(t, err)
		for line := range strings.Lines(string(config)) {
			if strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			for _, variable := range asked.FindAllStringSubmatch(line, -1) {
				assert.NotEmpty(t, c.Services["nats"].Environment[variable[1]], variable[1])
			}
		}
	}
	for _, reference := range regexp.MustCompile(`\$\{(\w+)`).FindAllStringSubmatch(string(text), -1) {
		if reference[1] != "role" {
			assert.Regexp(t, `^INVITED_(PRODUCER|WORKER|OPERATOR)_PASSWORD$`, reference[1], "what the commands at its top write into .env")
		}
	}
}

func TestComposeRunsWorkersThatAreConfiguredAndStopInOrder(t *testing.T) {
	var c composed
	readYAML(t, inDeploy("compose.yaml"), &c)
	for _, name := range []string{"invited-1", "invited-2"} {
		w := c.Services[name]
		cfg, warnings, err := configs.Load(inDeploy("docker/invited.yaml"), func(variable string) (string, bool) {
			value, set := w.Environment[variable]
			return strings.ReplaceAll(value, "${INVITED_WORKER_PASSWORD}", "p1"), set
		})
		require.NoError(t, err, name)
		for _, warning := range warnings {
			assert.Contains(t, warning.String(), "admin.listen", "it is reached from outside of its container: the one thing to warn of")
		}
		assert.Greater(t, w.Grace, cfg.Dispatch.ShutdownGrace+5*time.Second, name)
		assert.Equal(t, []string{"CMD", "/invited", "health"}, w.Health.Test)
		assert.Contains(t, c.Services["xblsim"].Networks.Default.Aliases, name)
		assert.Contains(t, cfg.XBL.BaseURL, c.Services["xblsim"].Command[1], "where the stand-in listens, in the network they share")
		assert.Contains(t, w.Volumes, "./.compose/nats.pem:"+cfg.NATS.TLS.CAFile+":ro")
	}
}

// The commands at its top are the only way in, and nobody here runs them with containers.
func TestTheCommandsOfComposeAreInvitectls(t *testing.T) {
	text, err := os.ReadFile(inDeploy("compose.yaml"))
	require.NoError(t, err)
	commands := regexp.MustCompile(`(?m)^#   .*docker compose run .*invitectl ([^;\n]+)`).FindAllSubmatch(text, -1)
	require.Len(t, commands, 3)
	for _, c := range commands {
		status, _, errOut := programs.Run(t, "invitectl", append(strings.Fields(string(c[1])), "--help")...)
		assert.Zero(t, status, "%s: %s", c[1], errOut)
	}
}

func TestComposeWatchesItsWorkers(t *testing.T) {
	var c composed
	readYAML(t, inDeploy("compose.yaml"), &c)
	var p struct {
		Rules  []string `yaml:"rule_files"`
		Scrape []struct {
			Job    string                       `yaml:"job_name"`
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, inDeploy("docker/prometheus.yaml"), &p)
	var workers []string
	for _, name := range []string{"invited-1", "invited-2"} {
		_, port, ok := strings.Cut(c.Services[name].Environment["INVITED_ADMIN_LISTEN"], ":")
		require.True(t, ok)
		workers = append(workers, name+":"+port)
	}
	assert.Equal(t, workers, p.Scrape[0].Static[0].Targets)
	for _, files := range p.Rules {
		name, mounted := strings.CutPrefix(files, "/etc/prometheus/rules/")
		require.True(t, mounted, files)
		found, err := filepath.Glob(inDeploy("prometheus/" + name))
		require.NoError(t, err)
		assert.NotEmpty(t, found, files)
	}
	assert.Contains(t, c.Services["prometheus"].Volumes, "./prometheus:/etc/prometheus/rules:ro")

	var own struct {
		Scrape []struct {
			Job string `yaml:"job_name"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, inDeploy("prometheus/prometheus.yaml"), &own)
	assert.Equal(t, own.Scrape[0].Job, p.Scrape[0].Job, "the rules know the workers by this name")
	var sources struct{ Datasources []struct{ URL string } }
	readYAML(t, inDeploy("grafana/provisioning/datasources/prometheus.yaml"), &sources)
	assert.Equal(t, "http://prometheus:9090", sources.Datasources[0].URL, "the service of that name")
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	// What stands beside a merge ("<<") wins over it: to this library that is a key twice.
	require.NoError(t, yaml.UnmarshalWithOptions(text, into, yaml.AllowDuplicateMapKey()), file)
}
