package chart_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

const (
	repository = "../.."
	dir        = repository + "/deploy/helm/invited"
	minimal    = `config: {nats: {url: "tls://nats:4222"}}`
)

// object is one that the chart makes.
type object map[string]any

func (o object) at(t *testing.T, path ...any) any {
	t.Helper()
	var here any = map[string]any(o)
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, ok := here.(map[string]any)
			require.True(t, ok, "%v", path)
			here = m[step]
		case int:
			require.Greater(t, len(here.([]any)), step, "%v", path)
			here = here.([]any)[step]
		}
	}
	return here
}

func (o object) kind() string { return o["kind"].(string) }
func (o object) name() string { return o["metadata"].(map[string]any)["name"].(string) }

// rendering is what an installation of the release "games" in the namespace "play" makes.
type rendering struct {
	objects []object
	notes   string
	text    map[string]string // by template
}

// render has Helm check the values and render, as helm template does: values are YAML, the later ones win.
func render(values ...string) (rendering, error) { return renderAs("games", "play", values...) }

// renderAs does so for another release in another namespace.
func renderAs(name, namespace string, values ...string) (rendering, error) {
	loaded, err := loader.LoadDir(dir)
	if err != nil {
		return rendering{}, err
	}
	given := chartutil.Values{}
	for _, text := range values {
		more, err := chartutil.ReadValues([]byte(text))
		if err != nil {
			return rendering{}, err
		}
		given = chartutil.MergeTables(more, given) // the first argument wins
	}
	release := chartutil.ReleaseOptions{Name: name, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(loaded, given, release, nil)
	if err != nil {
		return rendering{}, err
	}
	text, err := engine.Render(loaded, all)
	if err != nil {
		return rendering{}, err
	}
	r := rendering{text: text}
	for _, template := range slices.Sorted(maps.Keys(text)) {
		if strings.HasSuffix(template, "NOTES.txt") {
			r.notes = text[template]
			continue
		}
		for _, one := range regexp.MustCompile(`(?m)^---$`).Split(text[template], -1) {
			var o object
			if err := yaml.UnmarshalStrict([]byte(one), &o); err != nil {
				return rendering{}, err
			}
			if o != nil {
				r.objects = append(r.objects, o)
			}
		}
	}
	return r, nil
}

func mustRender(t *testing.T, values ...string) rendering {
	t.Helper()
	r, err := render(values...)
	require.NoError(t, err)
	return r
}

func (r rendering) only(t *testing.T, kind string) object {
	t.Helper()
	all := r.all(kind)
	require.Len(t, all, 1, kind)
	return all[0]
}

func (r rendering) all(kind string) (found []object) {
	for _, o := range r.objects {
		if o.kind() == kind {
			found = append(found, o)
		}
	}
	return found
}

func (r rendering) kinds() (kinds []string) {
	for _, o := range r.objects {
		kinds = append(kinds, o.kind()+" "+o.name())
	}
	slices.Sort(kinds)
	return kinds
}

// configuration is invited.yaml.
func (r rendering) configuration(t *testing.T) string {
	t.Helper()
	for _, o := range r.all("ConfigMap") {
		if text, ok := o.at(t, "data", "invited.yaml").(string); ok {
			return text
		}
	}
	require.Fail(t, "no configuration")
	return ""
}

func ci(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "ci", name+"-values.yaml"))
	require.NoError(t, err)
	return string(text)
}
