// The answers of Kubernetes' own code: each line on standard input is a question, each line on
// standard output its answer. Questions are decoded afresh, since PodRequests may change the pod it is
// given.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"gopkg.in/inf.v0"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helpers "k8s.io/component-helpers/resource"
	scheduling "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
	"k8s.io/kubectl/pkg/util/qos"
)

type question struct {
	Quantity *string         `json:"quantity"`
	Pod      json.RawMessage `json:"pod"`
	Nodes    []v1.Node       `json:"nodes"`
}

type quantityAnswer struct {
	Accepted  bool   `json:"accepted"`
	Canonical string `json:"canonical"`
	Nano      string `json:"nano"`
	Milli     int64  `json:"milli"`
	Whole     int64  `json:"whole"`
}

type amounts struct {
	CPU     int64 `json:"cpu"`
	Memory  int64 `json:"memory"`
	Storage int64 `json:"ephemeral-storage"`
}

type podAnswer struct {
	Requests          amounts `json:"requests"`
	Limits            amounts `json:"limits"`
	ScheduledRequests amounts `json:"scheduledRequests"`
	ScheduledLimits   amounts `json:"scheduledLimits"`
	QOSClass          string  `json:"qosClass"`
}

type placementAnswer struct {
	Admits []bool `json:"admits"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		answer, err := answerTo(lines.Bytes())
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", lines.Text(), err)
			os.Exit(1)
		}
		if err := answers.Encode(answer); err != nil {
			os.Exit(1)
		}
	}
}

func answerTo(line []byte) (any, error) {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return nil, err
	}
	if asked.Quantity != nil {
		return aboutQuantity(*asked.Quantity), nil
	}
	if asked.Nodes != nil {
		return aboutPlacement(asked)
	}
	return aboutPod(asked.Pod)
}

func aboutQuantity(text string) quantityAnswer {
	// Decoded as in an object, which trims blanks; ParseQuantity alone does not.
	var quantity resource.Quantity
	quoted, err := json.Marshal(text)
	if err == nil {
		err = json.Unmarshal(quoted, &quantity)
	}
	if err != nil {
		return quantityAnswer{}
	}
	answer := quantityAnswer{Accepted: true, Canonical: quantity.String(), Milli: quantity.MilliValue(), Whole: quantity.Value()}
	// AsDec changes what it is asked of, so it comes last.
	answer.Nano = new(inf.Dec).Round(quantity.AsDec(), 9, inf.RoundUp).UnscaledBig().String()
	return answer
}

func aboutPod(raw json.RawMessage) (any, error) {
	fresh := func() *v1.Pod {
		pod := &v1.Pod{}
		if err := json.Unmarshal(raw, pod); err != nil {
			panic(err)
		}
		return pod
	}
	live := helpers.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}
	return podAnswer{
		Requests:          inUnits(helpers.PodRequests(fresh(), helpers.PodResourcesOptions{})),
		Limits:            inUnits(helpers.PodLimits(fresh(), helpers.PodResourcesOptions{})),
		ScheduledRequests: inUnits(helpers.PodRequests(fresh(), live)),
		ScheduledLimits:   inUnits(helpers.PodLimits(fresh(), live)),
		QOSClass:          string(qos.ComputePodQOS(fresh())),
	}, nil
}

func inUnits(list v1.ResourceList) amounts {
	return amounts{list.Cpu().MilliValue(), list.Memory().Value(), list.StorageEphemeral().Value()}
}

// aboutPlacement asks what the scheduler's filters NodeUnschedulable, TaintToleration and NodeAffinity ask.
func aboutPlacement(asked question) (any, error) {
	pod := &v1.Pod{}
	if err := json.Unmarshal(asked.Pod, pod); err != nil {
		return nil, err
	}
	answer := placementAnswer{Admits: []bool{}}
	for i := range asked.Nodes {
		answer.Admits = append(answer.Admits, admits(pod, &asked.Nodes[i]))
	}
	return answer, nil
}

func admits(pod *v1.Pod, node *v1.Node) bool {
	cordon := v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule}
	tolerations := pod.Spec.Tolerations
	if node.Spec.Unschedulable && !scheduling.TolerationsTolerateTaint(klog.Background(), tolerations, &cordon, false) {
		return false
	}
	hard := func(taint *v1.Taint) bool {
		return taint.Effect == v1.TaintEffectNoSchedule || taint.Effect == v1.TaintEffectNoExecute
	}
	if _, found := scheduling.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, tolerations, hard, false); found {
		return false
	}
	matches, _ := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node)
	return matches
}
