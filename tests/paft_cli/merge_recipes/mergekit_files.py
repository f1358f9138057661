"""mergekit's YAML for each method that can be read, as its users write it."""

LINEAR = """
models:
- model: models/base+adapters/chat
  parameters: {weight: 0.75}
- model: models/base+adapters/aligned
  parameters: {weight: 0.25}
merge_method: linear
dtype: bfloat16
"""
TASK_ARITHMETIC = """
merge_method: task_arithmetic
base_model: models/base
models:
- model: models/base
- model: models/base+adapters/chat
  parameters:
    weight:
    - {filter: q_proj, value: 0.25}
    - {filter: self_attn, value: [0.0, 0.5, 1.0]}
    - filter: mlp.down_proj.weight
      value: 0.75
    - value: 0.5
- model: models/base+adapters/aligned
  parameters: {weight: 0.5}
parameters: {lambda: 0.9, normalize: false}
"""
TIES = """
merge_method: ties
base_model: models/base
tokenizer_source: base
models:
- model: models/base+adapters/chat
  parameters:
    density: 0.5
    weight: [1.0, 0.5]
- model: models/base+adapters/aligned
  parameters:
    density: 0.5
    weight:
    - {filter: mlp., value: 0.25}
    - {filter: '*', value: [0.5, 1.0]}
    - {filter: never, value: 0.1}
parameters: {normalize: true, int8_mask: true}
dtype: float16
"""
DARE_LINEAR = """
merge_method: dare_linear
base_model: models/base
models:
- {model: models/base+adapters/chat}
- {model: models/base+adapters/aligned, parameters: {weight: 0.5}}
parameters: {weight: 1, density: 0.4, rescale: false}
"""
DARE_TIES = """
merge_method: dare_ties
base_model: models/base
models:
- {model: models/base+adapters/chat, parameters: {weight: 0.6, density: 0.4}}
- {model: models/base+adapters/aligned, parameters: {weight: 0.4, density: 0.4}}
parameters: {rescale: true, normalize: true}
"""
DELLA = """
merge_method: della
base_model: models/base
models:
- {model: models/base+adapters/chat, parameters: {weight: 0.6}}
- {model: models/base+adapters/aligned, parameters: {weight: 0.4}}
parameters: {density: 0.5, epsilon: 0.2, lambda: 1.1}
"""
BREADCRUMBS = """
merge_method: breadcrumbs
base_model: models/base
models:
- {model: models/base+adapters/chat, parameters: {weight: 0.6, gamma: 0.02}}
- {model: models/base+adapters/aligned, parameters: {weight: 0.4, gamma: 0.02}}
parameters: {density: 0.9}
"""
SLERP = """
merge_method: slerp
base_model: models/base+adapters/aligned
models:
- model: models/base+adapters/chat
- model: models/base+adapters/aligned
parameters:
  t:
  - {filter: "o_proj.", value: 0.125}
  - filter: self_attn
    value: [0, 0.5, 0.3, 0.7, 1]
  - value: 0.5
"""
SCE = """
merge_method: sce
base_model: models/base
models:
- {model: models/base+adapters/chat}
- {model: models/base+adapters/aligned}
parameters: {select_topk: 0.25}
"""
FILES = {
    "linear": LINEAR,
    "task_arithmetic": TASK_ARITHMETIC,
    "ties": TIES,
    "dare_linear": DARE_LINEAR,
    "dare_ties": DARE_TIES,
    "della": DELLA,
    "breadcrumbs": BREADCRUMBS,
    "slerp": SLERP,
    "sce": SCE,
}
