"""A PaftJob in which every field of the spec is written out, mostly with values of its own.

Options of merge methods exclude each other: those that the merge cannot have, a candidate has.
"""

import json
from typing import Any

import yaml

from paft_api.spec import PaftJob

COMPLETE_JOB = """
apiVersion: paft.dev/v1alpha1
kind: PaftJob
metadata: {name: complete, namespace: team-a, uid: 7d1c, generation: 3}
spec:
  base:
    uri: s3://models/base/
    chatTemplate: "{{ messages }}"
    secretRef: {name: models}
    endpoint: https://models.example.com
    region: us-west-2
    anonymous: false
    cache: {hostPath: {path: /mnt/paft}, maxSize: 500Gi}
  storage:
    artifactsUri: s3://paft/artifacts/
    endpoint: https://s3.example.com
    region: eu-west-1
    secretRef: {name: s3}
    caBundle: |
      -----BEGIN CERTIFICATE-----
      MIIB
      -----END CERTIFICATE-----
    addressingStyle: path
    checksums: when_supported
    retryWindow: 60
    allowUnconditionalPublish: false
  sft:
    data:
      maxBadRows: 2
      train:
      - uri: s3://data/sft/
        format: messages
        fileType: jsonl
        split: train
        columns: {messages: best}
        weight: 1.5
        secretRef: {name: chats}
        endpoint: https://chats.example.com
        region: eu-north-1
        anonymous: false
      eval:
      - uri: s3://data/sft-eval.jsonl
        format: messages
        fileType: jsonl
        split: eval
        columns: {messages: best}
        weight: 1
        secretRef: {name: chats}
        endpoint: https://chats.example.com
        region: eu-north-1
        anonymous: false
    l1: {mode: proximal, lambda: 0.001, granularity: element, rampFraction: 0.2}
    lora: &lora
      r: 8
      alpha: 16
      dropout: 0.05
      targetModules: [q_proj]
      targetModulesPattern: ".*q_proj"
      excludeModules: [o_proj]
      layersToTransform: [0, 1]
      layersPattern: [layers]
      rankPattern: {q_proj: 4}
      alphaPattern: {q_proj: 8}
      rslora: false
      loraplusLrRatio: 16
      modulesToSave: [norm]
      initLoraWeights: gaussian
      useDora: false
    training:
      <<: &training
        epochs: 2
        maxSteps: 500
        learningRate: 0.0001
        globalBatchSize: 64
        microBatchSize: 2
        maxLength: 1024
        lrScheduler: linear
        lrSchedulerKwargs: {}
        warmupRatio: 0.1
        weightDecay: 0.01
        optimizer: adamw_fused
        adamBeta1: 0.95
        adamBeta2: 0.99
        adamEpsilon: 0.000001
        maxGradNorm: 0.5
        gradientCheckpointing: false
        offloadOptimizer: cpu
        offloadParam: none
        useLigerKernel: false
        torchCompile: false
        precision: bf16
        packing: true
        seed: 1
        saveSteps: 100
        saveSeconds: 1800
        evalSteps: 100
        earlyStopping: {patience: 3, minDelta: 0.01}
        publish: best
        hangTimeout: 900
        keep: {last: 3, best: 2}
        deepspeed: {steps_per_print: 10}
      neftuneNoiseAlpha: 5
      assistantOnlyLoss: true
      assistantMask: rendering
      completionOnlyLoss: true
    resources: &resources
      nodes: 2
      gpusPerNode: 4
      gpuResourceName: amd.com/gpu
      processesPerNode: 4
      cpu: "16"
      memory: 128Gi
      sharedMemory: 16Gi
      extra: {rdma/hca: "1"}
  preference:
    method: dpo
    dpo:
      beta: 0.2
      losses: [{type: hinge, weight: 0.5}, {type: robust, weight: 1.0}, {type: discopop, weight: 1.0}]
      labelSmoothing: 0.1
      fDivergenceType: alpha_divergence
      fAlphaDivergenceCoef: 0.25
      discopopTau: 0.125
    data:
      maxBadRows: 2
      train:
      - uri: s3://data/pairs/
        format: preference
        fileType: jsonl
        split: train
        columns: {chosen: best}
        weight: 1.5
        secretRef: {name: pairs}
        endpoint: https://pairs.example.com
        region: eu-north-1
        anonymous: false
      eval:
      - uri: s3://data/pairs-eval.jsonl
        format: preference
        fileType: jsonl
        split: eval
        columns: {chosen: best}
        weight: 1
        secretRef: {name: pairs}
        endpoint: https://pairs.example.com
        region: eu-north-1
        anonymous: false
    lora: *lora
    training: *training
    resources: *resources
  merge:
    method: dare_ties
    preset: paft
    weights: &weights
    - {sft: 0.6, preference: 0.4}
    - modules: "*.mlp.*"
      layers: {first: 2, last: 7}
      gradient: [{sft: 0.75, preference: 0.25}, {sft: 0.5, preference: 0.5}]
    density: 0.3
    seed: 3
    rescale: Norm
    election: Unweighted
    normalize: false
    balance: Tensor
    lambda: 0.8
    candidates:
    - name: steep
      method: della
      preset: mergekit
      weights: *weights
      density: 0.4
      seed: 5
      rescale: None
      election: Weighted
      normalize: true
      epsilon: 0.2
      balance: Model
      lambda: 0.9
    - {name: clipped, method: breadcrumbs, densityScope: Model, gamma: 0.02}
    - {name: arc, method: slerp, wholeWeights: true}
    output: {uri: s3://models/fused/, form: Full, maxShardSize: 2GB}
    resources: {cpu: "2", memory: 4Gi, extra: {ephemeral-storage: 20Gi}}
  tracking:
    wandb:
      project: sums
      entity: team-a
      mode: offline
      baseUrl: https://wandb.example.com
      tags: [paft]
      secretRef: {name: wandb}
    mlflow: {trackingUri: "https://mlflow.example.com", experiment: sums, secretRef: {name: mlflow}}
  trainer:
    image: example.com/paft:1
    imagePullPolicy: Never
    imagePullSecrets: [{name: registry}]
    serviceAccountName: trainer
    nodeSelector: {pool: gpu}
    tolerations: [{key: gpu, operator: Equal, value: "true", effect: NoExecute, tolerationSeconds: 60}]
    affinity: {podAntiAffinity: {}}
    runtimeClassName: nvidia
    podLabels: {team: a}
    podAnnotations: {example.com/cost-centre: "7"}
    env: [{name: NCCL_DEBUG, value: INFO}]
    ipcLock: true
    terminationGracePeriodSeconds: 900
    prepareResources: {cpu: "1", memory: 2Gi, extra: {ephemeral-storage: 10Gi}}
    podTemplate: {metadata: {labels: {tier: batch}}, spec: {hostNetwork: true}}
  scheduling: {backend: jobset, queueName: queue, priorityClassName: high, admission: Atomic}
  runPolicy:
    suspend: true
    backoffLimit: 1
    activeDeadlineSeconds: 3600
    pendingDeadlineSeconds: 600
    ttlSecondsAfterFinished: 86400
"""


def complete_document() -> dict[str, Any]:
    """A fresh copy of the document; its anchors give separate values."""
    document: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(COMPLETE_JOB)))
    return document


def complete_job() -> PaftJob:
    """The job."""
    return PaftJob.model_validate_json(json.dumps(complete_document()))
