//! Components that are made to be dear to compile: too many of something are refused before they are compiled, what is large
//! and allowed is compiled and then found to be no filter.

use std::time::Instant;

use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentTypeSection, ComponentValType, ExportKind, ExportSection,
    Function, FunctionSection, Instruction, Module, ModuleSection, NestedComponentSection, PrimitiveValType,
    TypeSection, ValType,
};

use super::refused::REFUSED;
use super::stage::{Seen, Stage, check_refused};
use super::trials::Trial;

/// What is said of a component that was compiled.
const COMPILED: &str = "exports nothing";

/// What makes a component.
type Make = fn() -> Vec<u8>;

/// What they are, how they are made, and what is said of them.
const BOMBS: [(&str, Make, &str); 17] = [
    ("be a hundred thousand functions and one", || functions(100_001, &[], &[]), "over 100000 functions"),
    ("be one function of over a megabyte", || functions(1, &[], &sums(150_000)), "has a function of"),
    (
        "have five thousand locals and one",
        || functions(1, &[(5001, ValType::I64)], &[]),
        "5001 local variables",
    ),
    (
        "cross five thousand locals with five thousand branches",
        || functions(1, &[(5000, ValType::I32)], &joins(5000, 5000)),
        "too many to compile",
    ),
    (
        "cross locals with a table of branches",
        || functions(1, &[(5000, ValType::I32)], &table(5000)),
        "too many to compile",
    ),
    (
        "cross locals with branches in twenty functions",
        || functions(20, &[(1000, ValType::I32)], &joins(1000, 2000)),
        "local variables times branches in all",
    ),
    ("nest a hundred thousand blocks", || functions(1, &[], &blocks(100_000)), "blocks in each other"),
    (
        "nest nine thousand blocks in twenty functions",
        || functions(20, &[], &blocks(9000)),
        "levels of blocks in all",
    ),
    ("be two hundred modules", || of_modules(200), "over 100 modules and components"),
    ("be components in components, two thousand deep", || nested(2000), "over 16 levels of components"),
    ("export three hundred thousand functions", || exports(300_000), "over 200000 types, imports"),
    ("be three hundred thousand types", || types(300_000), "over 200000 types, imports"),
    ("be lists of lists, a thousand deep", || types(1000), "not valid"),
    ("nest ten thousand blocks", || functions(1, &[], &blocks(10_000)), COMPILED),
    (
        "have a table of fifty thousand branches",
        || functions(1, &[(1, ValType::I32)], &table(50_000)),
        COMPILED,
    ),
    ("be ten thousand functions", || functions(10_000, &[(3, ValType::I64)], &sums(2)), COMPILED),
    (
        "cross a thousand locals with two thousand branches",
        || functions(1, &[(1000, ValType::I32)], &joins(1000, 2000)),
        COMPILED,
    ),
];

pub(crate) fn all() -> Vec<Trial> {
    let trial = |(name, make, expected): (&'static str, Make, &'static str)| Trial {
        name: name.to_owned(),
        outcome: if expected == COMPILED { "compiled, and then refused" } else { REFUSED },
        run: Box::new(move |stage: &Stage| {
            let component = stage.file(&make());
            let started = Instant::now();
            check_refused(stage, &component, "", expected);
            // There is no deadline for compiling: what there is, is the time.
            Seen { time: Some((started.elapsed(), std::time::Duration::MAX)), memory: 0 }
        }),
    };
    BOMBS.into_iter().map(trial).collect()
}

/// A component of a module of so many equal functions.
fn functions(count: u32, locals: &[(u32, ValType)], body: &[Instruction<'_>]) -> Vec<u8> {
    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    for _ in 0..count {
        functions.function(0);
        let mut function = Function::new(locals.iter().copied());
        for instruction in body {
            function.instruction(instruction);
        }
        function.instruction(&Instruction::End);
        code.function(&function);
    }
    let mut module = Module::new();
    module.section(&unit_type()).section(&functions).section(&code);
    of_module(&module)
}

fn unit_type() -> TypeSection {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types
}

fn of_module(module: &Module) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(module));
    component.finish()
}

/// Sums one after the other, some seven bytes each.
fn sums(count: usize) -> Vec<Instruction<'static>> {
    let sum = [
        Instruction::I64Const(70_000),
        Instruction::I64Const(80_000),
        Instruction::I64Add,
        Instruction::Drop,
    ];
    sum.iter().cloned().cycle().take(4 * count).collect()
}

/// Branches out of blocks, and at the end every local variable is read: each has a value of its own after each block.
fn joins(locals: u32, count: usize) -> Vec<Instruction<'static>> {
    let mut body = Vec::new();
    for number in 0..count as u32 {
        body.extend([
            Instruction::Block(BlockType::Empty),
            Instruction::LocalGet(number % locals),
            Instruction::BrIf(0),
            Instruction::I32Const(number as i32),
            Instruction::LocalSet((number * 7) % locals),
            Instruction::End,
        ]);
    }
    for number in 0..locals {
        body.extend([Instruction::LocalGet(number), Instruction::Drop]);
    }
    body
}

fn table(targets: usize) -> Vec<Instruction<'static>> {
    vec![
        Instruction::Block(BlockType::Empty),
        Instruction::LocalGet(0),
        Instruction::BrTable(vec![0; targets].into(), 0),
        Instruction::End,
    ]
}

fn blocks(depth: usize) -> Vec<Instruction<'static>> {
    let mut body = vec![Instruction::Block(BlockType::Empty); depth];
    body.extend(vec![Instruction::End; depth]);
    body
}

fn of_modules(count: usize) -> Vec<u8> {
    let mut component = Component::new();
    for _ in 0..count {
        component.section(&ModuleSection(&Module::new()));
    }
    component.finish()
}

fn nested(depth: usize) -> Vec<u8> {
    let mut inner = Component::new();
    for _ in 0..depth {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&inner));
        inner = outer;
    }
    inner.finish()
}

fn exports(count: u32) -> Vec<u8> {
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut exports = ExportSection::new();
    for number in 0..count {
        exports.export(&format!("f{number}"), ExportKind::Func, 0);
    }
    let mut code = CodeSection::new();
    let mut function = Function::new([]);
    function.instruction(&Instruction::End);
    code.function(&function);
    let mut module = Module::new();
    module.section(&unit_type()).section(&functions).section(&exports).section(&code);
    of_module(&module)
}

/// Each type is a list of the one before.
fn types(count: u32) -> Vec<u8> {
    let mut types = ComponentTypeSection::new();
    types.defined_type().primitive(PrimitiveValType::U32);
    for number in 1..count {
        types.defined_type().list(ComponentValType::Type(number - 1));
    }
    let mut component = Component::new();
    component.section(&types);
    component.finish()
}
