"""A template's tokens as a tree, with the checks that Go makes before anything is expanded.

Source: Go, text/template/parse/parse.go.
"""

from collections.abc import Container, Iterator
from typing import Final, Literal, NoReturn

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.templates.lexer import Token, tokens_of
from spanbudget.rules.templates.literals import number_of, unquoted
from spanbudget.rules.templates.nodes import (
    Action,
    Bool,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Jump,
    Nil,
    Node,
    Nodes,
    Number,
    Operand,
    Pipe,
    String,
    Text,
    Variable,
)

DEPTH_MAX: Final = 50
"""Levels of blocks and parentheses; each takes some of the interpreter's stack."""
_OPERANDS: Final = frozenset(
    ("bool", "char_constant", ".", "field", "identifier", "number", "nil", "string", "variable", "(")
)
_Control = Literal["if", "with", "range"]


def parse_template(text: str, name: str, functions: Container[str]) -> dict[str, Nodes]:
    """The trees of a template: its own under "", and those that it defines under their names.

    Args:
        text: The template.
        name: What messages call it.
        functions: The names of the functions that there are.

    Raises:
        ExpressionError: It is wrong; the message is the one that Prometheus gives.
    """
    return _Parser(text, name, functions).trees()


class _Parser:
    def __init__(self, text: str, name: str, functions: Container[str]) -> None:
        self._name = name
        self._functions = functions
        self._tokens: Iterator[Token] = tokens_of(text, name)
        self._ahead: list[Token] = []
        self._line = 1
        self._variables = ["$"]
        self._trees: dict[str, Nodes] = {}
        self._depth = 0
        self._ranges = 0

    def trees(self) -> dict[str, Nodes]:
        nodes: list[Node] = []
        while self._peek().kind != "end_of_text":
            node = self._item()
            if isinstance(node, Token):
                self._fail(f"unexpected {{{{{node.text}}}}}")
            if node is not None:
                nodes.append(node)
        self._trees[""] = tuple(nodes)
        return self._trees

    # Tokens.

    def _next(self) -> Token:
        token = self._ahead.pop() if self._ahead else next(self._tokens)
        self._line = token.line
        return token

    def _peek(self) -> Token:
        if not self._ahead:
            self._ahead.append(next(self._tokens))
        self._line = self._ahead[-1].line
        return self._ahead[-1]

    def _next_word(self) -> Token:
        while (token := self._next()).kind == "space":
            pass
        return token

    def _peek_word(self) -> Token:
        token = self._next_word()
        self._ahead.append(token)
        return token

    def _expect(self, kind: str, context: str) -> Token:
        token = self._next_word()
        if token.kind != kind:
            self._fail(f"unexpected {token} in {context}")
        return token

    def _fail(self, problem: str) -> NoReturn:
        raise ExpressionError(f"template: {self._name}:{self._line}: {problem}", line=self._line)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            self._fail(f"nested deeper than {DEPTH_MAX} levels")

    # Text and actions.

    def _item(self) -> Node | Token | None:
        """The next node; None for a definition, and the token of an `{{end}}` or `{{else}}`."""
        token = self._next_word()
        if token.kind == "text":
            return Text(token.position, token.text)
        if token.kind != "left":
            self._fail(f"unexpected {token} in input")
        word = self._next_word()
        match word.kind:
            case "if" | "with" | "range":
                return self._branch(word.kind)
            case "end":
                self._expect("right", "end")
                return word
            case "else":
                if self._peek_word().kind not in ("if", "with"):
                    self._expect("right", "else")
                return word
            case "define":
                self._define()
                return None
            case "block" | "template":
                return self._call(word.kind)
            case "break" | "continue":
                return self._jump(word)
        self._ahead.append(word)
        return Action(word.position, self._pipe("command", "right"))

    def _list(self) -> tuple[Nodes, Token]:
        """Nodes up to an `{{end}}` or `{{else}}`, and that."""
        self._deeper()
        nodes: list[Node] = []
        while self._peek_word().kind != "end_of_text":
            node = self._item()
            if isinstance(node, Token):
                self._depth -= 1
                return tuple(nodes), node
            if node is None:
                self._fail("unexpected {{define}}")
            nodes.append(node)
        return self._fail("unexpected EOF")

    def _branch(self, kind: _Control) -> Branch:
        known = len(self._variables)
        pipe = self._pipe(kind, "right")
        self._ranges += kind == "range"
        body, end = self._list()
        self._ranges -= kind == "range"
        otherwise: Nodes | None = None
        if end.kind == "else":
            following = self._peek_word()
            if following.kind == kind and kind != "range":
                self._deeper()
                self._next_word()
                otherwise = (self._branch(kind),)
                self._depth -= 1
            else:
                otherwise, end = self._list()
                if end.kind != "end":
                    self._fail("expected end; found {{else}}")
        del self._variables[known:]
        return Branch(pipe.position, kind, pipe, body, otherwise)

    def _jump(self, word: Token) -> Jump:
        self._expect("right", f"{{{{{word.kind}}}}}")
        if not self._ranges:
            self._fail(f"{{{{{word.kind}}}}} outside {{{{range}}}}")
        return Jump(word.position, "break" if word.kind == "break" else "continue")

    def _define(self) -> None:
        name = self._template_name("define clause")[1]
        self._expect("right", "define clause")
        self._definition(name, "define clause")

    def _definition(self, name: str, context: str) -> None:
        """The body of a definition: it sees no variable from outside."""
        outer = self._variables, self._ranges
        self._variables, self._ranges = ["$"], 0
        body, end = self._list()
        if end.kind != "end":
            self._fail(f"unexpected {{{{else}}}} in {context}")
        self._variables, self._ranges = outer
        if any(not isinstance(node, Text) or node.text.strip() for node in self._trees.get(name, ())):
            self._fail(f'template: multiple definition of template "{name}"')
        self._trees[name] = body

    def _call(self, kind: Literal["block", "template"]) -> Call:
        context = f"{kind} clause"
        token, name = self._template_name(context)
        pipe = None
        if kind == "block" or self._peek_word().kind != "right":
            pipe = self._pipe(context, "right")
        else:
            self._next_word()
        if kind == "block":
            self._definition(name, context)
        return Call(token.position, name, pipe)

    def _template_name(self, context: str) -> tuple[Token, str]:
        token = self._expect("string", context)
        return token, self._unquoted(token)

    # Pipelines.

    def _pipe(self, context: str, end: str) -> Pipe:
        position = self._peek_word().position
        variables, assigns = self._declared(context)
        commands: list[Command] = []
        while (token := self._next_word()).kind != end:
            if token.kind not in _OPERANDS:
                self._fail(f"unexpected {token} in {context}")
            self._ahead.append(token)
            commands.append(self._command())
        if not commands:
            self._fail(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.operands[0], Bool | Dot | Nil | Number | String):
                self._fail(f"non executable command in pipeline stage {stage}")
        return Pipe(position, variables, assigns, tuple(commands))

    def _declared(self, context: str) -> tuple[tuple[Variable, ...], bool]:
        """The variables of `$x := …`, `$x = …` and `$i, $x := …`."""
        variables: list[Variable] = []
        while self._peek_word().kind == "variable":
            variable = self._next_word()
            after = self._peek()
            sign = self._peek_word()
            is_comma = sign.kind == "char" and sign.text == ","
            if sign.kind not in ("assign", "declare") and not is_comma:
                # The space after a variable tells an argument from what is glued to it.
                self._ahead.extend([after] if after.kind == "space" else [])
                self._ahead.append(variable)
                break
            self._next_word()
            variables.append(Variable(variable.position, variable.text))
            self._variables.append(variable.text)
            if not is_comma:
                return tuple(variables), sign.kind == "assign"
            if context != "range" or len(variables) > 1:
                self._fail(f"too many declarations in {context}")
            if self._peek_word().kind not in ("variable", "right", ")"):
                self._fail("range can only initialize variables")
        return tuple(variables), False

    def _command(self) -> Command:
        position = self._peek_word().position
        operands: list[Operand] = []
        while True:
            self._peek_word()
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
            token = self._next()
            if token.kind == "space":
                continue
            if token.kind in ("right", ")"):
                self._ahead.append(token)
            elif token.kind != "pipe":
                self._fail(f"unexpected {token} in operand")
            break
        if not operands:
            self._fail("empty command")
        return Command(position, tuple(operands))

    def _operand(self) -> Operand | None:
        term = self._term()
        if term is None or self._peek().kind != "field":
            return term
        position, names = self._peek().position, []
        while self._peek().kind == "field":
            names.append(self._next().text[1:])
        match term:
            case Field():
                return Field(position, (*term.names, *names))
            case Variable():
                return Variable(position, term.name, tuple(names))
            case Bool() | String() | Number() | Nil() | Dot():
                self._fail(f'unexpected . after term "{term}"')
        return Chain(position, term, tuple(names))

    def _term(self) -> Operand | None:
        token = self._next_word()
        at = token.position
        match token.kind:
            case "identifier":
                if token.text not in self._functions:
                    self._fail(f'function "{token.text}" not defined')
                return Identifier(at, token.text)
            case ".":
                return Dot(at)
            case "nil":
                return Nil(at)
            case "variable":
                if token.text not in self._variables:
                    self._fail(f'undefined variable "{token.text}"')
                return Variable(at, token.text)
            case "field":
                return Field(at, (token.text[1:],))
        return self._literal(token)

    def _literal(self, token: Token) -> Operand | None:
        match token.kind:
            case "bool":
                return Bool(token.position, token.text == "true")
            case "number" | "char_constant":
                try:
                    return number_of(token.position, token.text)
                except ValueError as error:
                    self._fail(str(error))
            case "(":
                self._deeper()
                pipe = self._pipe("parenthesized pipeline", ")")
                self._depth -= 1
                return pipe
            case "string":
                return String(token.position, token.text, self._unquoted(token))
        self._ahead.append(token)
        return None

    def _unquoted(self, token: Token) -> str:
        try:
            return unquoted(token.text)
        except ValueError as error:
            self._fail(str(error))
