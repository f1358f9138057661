"""The CustomResourceDefinition, made from the models: schema, rules and everything around them."""
