// Calico, as one binary that acts as what it is called as: `calico-felix CONFIGURATION KUBECONFIG` enforces policies on
// the node, `calico` is the network plugin that gives each pod an interface which the former knows.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/projectcalico/calico/cni-plugin/pkg/plugin"
	"github.com/projectcalico/calico/felix/daemon"
)

// The release line that the pinned revision belongs to.
const version = "v3.28"

func main() {
	switch name := filepath.Base(os.Args[0]); {
	case name == "calico":
		plugin.Main(version)
	case name == "calico-felix" && len(os.Args) == 3:
		os.Setenv("KUBECONFIG", os.Args[2])
		// Nothing of an earlier run can be left in namespaces of our own, and to look for it needs a library in C.
		os.Setenv("FELIX_DebugSkipCTLBCleanup", "true")
		daemon.Run(os.Args[1], version, "", "")
	default:
		fmt.Fprintf(os.Stderr, "%s: call this as `calico`, or as `calico-felix CONFIGURATION KUBECONFIG`\n", name)
		os.Exit(2)
	}
}
