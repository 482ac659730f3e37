{{/* Names, labels and the checks that a schema cannot express. */}}

{{- define "kube-headroom.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 55 characters: the metrics Service adds "-metrics" and has 63. */}}
{{- define "kube-headroom.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 55 | trimSuffix "-" -}}
{{- else if contains (include "kube-headroom.name" .) .Release.Name -}}
{{- .Release.Name | trunc 55 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "kube-headroom.name" .) | trunc 55 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "kube-headroom.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kube-headroom.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kube-headroom.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "kube-headroom.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- mergeOverwrite (deepCopy .Values.commonLabels) $own | toYaml -}}
{{- end -}}

{{- define "kube-headroom.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kube-headroom.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kube-headroom.policyConfigMap" -}}
{{- default (printf "%s-policy" (include "kube-headroom.fullname" .)) .Values.existingConfigMap -}}
{{- end -}}

{{/* Made by the server itself; it is nobody's release but its ServiceAccount's. */}}
{{- define "kube-headroom.ledgerConfigMap" -}}
{{- printf "%s-ledger" (include "kube-headroom.fullname" .) -}}
{{- end -}}

{{- define "kube-headroom.failurePolicy" -}}
{{- $trial := and (eq .Values.policy.mode "audit") (not .Values.existingConfigMap) -}}
{{- .Values.webhook.failurePolicy | default (ternary "Ignore" "Fail" $trial) -}}
{{- end -}}

{{- define "kube-headroom.image" -}}
{{- $image := .Values.image.repository -}}
{{- if .Values.image.registry -}}{{- $image = printf "%s/%s" .Values.image.registry $image -}}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $image .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What would install and then not work, or harm: said before anything is installed. */}}
{{- define "kube-headroom.guards" -}}
{{- if has .Release.Namespace (list "kube-system" "kube-public" "kube-node-lease") -}}
{{- fail (printf "namespace %s: install kube-headroom into a namespace of its own (--namespace kube-headroom --create-namespace). Its own namespace is never judged, and %s belongs to the cluster." .Release.Namespace .Release.Namespace) -}}
{{- end -}}
{{- if ne (int .Values.replicaCount) 1 -}}
{{- fail (printf "replicaCount: %d: this version serves with exactly 1 replica. Promises are kept in the memory of one process; two would promise the same room twice, and none would leave failurePolicy to answer every request." (int .Values.replicaCount)) -}}
{{- end -}}
{{- if eq .Values.tls.mode "existingSecret" -}}
{{- if not .Values.tls.existingSecret.name -}}
{{- fail "tls.existingSecret.name: needed when tls.mode is existingSecret (a Secret of type kubernetes.io/tls in the release's namespace)" -}}
{{- end -}}
{{- if not .Values.tls.existingSecret.caBundle -}}
{{- fail "tls.existingSecret.caBundle: needed when tls.mode is existingSecret: without the CA (PEM) the API server cannot trust the webhook" -}}
{{- end -}}
{{- else if or .Values.tls.existingSecret.name .Values.tls.existingSecret.caBundle -}}
{{- fail "tls.existingSecret: is set, but tls.mode is auto and would ignore it; set tls.mode=existingSecret" -}}
{{- end -}}
{{- end -}}

{{/* Without caBundle when the server publishes it: a rendered one would be written over at every upgrade. */}}
{{- define "kube-headroom.clientConfig" -}}
clientConfig:
  service:
    name: {{ include "kube-headroom.fullname" . }}
    namespace: {{ .Release.Namespace }}
    path: /validate
    port: {{ .Values.service.port }}
  {{- if eq .Values.tls.mode "existingSecret" }}
  caBundle: {{ .Values.tls.existingSecret.caBundle | b64enc }}
  {{- end }}
{{- end -}}
