// Command extract writes the schemas that the chart is checked with: from Kubernetes' own OpenAPI description and from the custom
// resource definitions of the Prometheus operator and KEDA, one file for each kind that the chart has. It is run by hand, when a kind
// or a version changes; schemas/README.md has the command.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// kinds are those of Kubernetes itself: file names as kubeconform asks for them, and names in the description.
var kinds = map[string]string{
	"configmap-v1":                  "io.k8s.api.core.v1.ConfigMap",
	"deployment-apps-v1":            "io.k8s.api.apps.v1.Deployment",
	"networkpolicy-networking-v1":   "io.k8s.api.networking.v1.NetworkPolicy",
	"poddisruptionbudget-policy-v1": "io.k8s.api.policy.v1.PodDisruptionBudget",
	"secret-v1":                     "io.k8s.api.core.v1.Secret",
	"service-v1":                    "io.k8s.api.core.v1.Service",
	"serviceaccount-v1":             "io.k8s.api.core.v1.ServiceAccount",
}

const (
	reference  = "#/definitions/"
	objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
)

type object = map[string]any

func main() {
	if len(os.Args) < 4 {
		fatal(fmt.Errorf("usage: extract DIR swagger.json crd.yaml…"))
	}
	dir := os.Args[1]
	var swagger struct{ Definitions map[string]object }
	read(os.Args[2], &swagger)
	for file, name := range kinds {
		write(dir, file, whole(swagger.Definitions[name], swagger.Definitions))
	}
	for _, path := range os.Args[3:] {
		var crd struct {
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Schema struct{ OpenAPIV3Schema object }
				}
			}
		}
		read(path, &crd)
		group, _, _ := strings.Cut(crd.Spec.Group, ".")
		for _, v := range crd.Spec.Versions {
			v.Schema.OpenAPIV3Schema["properties"].(object)["metadata"] = object{"$ref": reference + objectMeta}
			write(dir, strings.ToLower(crd.Spec.Names.Kind)+"-"+group+"-"+v.Name, whole(v.Schema.OpenAPIV3Schema, swagger.Definitions))
		}
	}
}

// whole is the schema of a kind that nobody has given a status, with the definitions that it refers to.
func whole(schema object, all map[string]object) object {
	delete(schema["properties"].(object), "status")
	used := object{}
	schema = strict(schema, all, used)
	schema["required"] = []string{"apiVersion", "kind", "metadata"}
	schema["definitions"] = used
	return schema
}

// strict keeps what is checked and leaves out what is only told. An object refuses what it does not know, as the API server does
// when it is asked to.
func strict(schema object, all map[string]object, used object) object {
	if name, ok := strings.CutPrefix(fmt.Sprint(schema["$ref"]), reference); ok {
		if used[name] == nil {
			used[name] = object{} // it may refer to itself
			used[name] = strict(all[name], all, used)
		}
		return object{"$ref": reference + name}
	}
	if schema["format"] == "int-or-string" {
		return object{"type": []string{"integer", "string"}}
	}
	kept := object{}
	for key, value := range schema {
		switch key {
		case "type", "enum", "required", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
			"anyOf", "oneOf", "allOf", "not":
			kept[key] = value
		case "items", "additionalProperties":
			if inner, ok := value.(object); ok {
				value = strict(inner, all, used)
			}
			kept[key] = value
		case "properties":
			properties := object{}
			for name, inner := range value.(object) {
				properties[name] = strict(inner.(object), all, used)
			}
			kept[key] = properties
		}
	}
	if kept["properties"] != nil && kept["additionalProperties"] == nil && schema["x-kubernetes-preserve-unknown-fields"] != true {
		kept["additionalProperties"] = false
	}
	return kept
}

func read(path string, into any) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	fatal(err)
}

func write(dir, name string, schema object) {
	text, err := json.Marshal(schema)
	fatal(err)
	fatal(os.WriteFile(filepath.Join(dir, name+".json"), slices.Concat(text, []byte("\n")), 0o644))
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
