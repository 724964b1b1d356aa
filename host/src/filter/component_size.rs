//! How large a component may be before it is compiled. Compiling is host work that no deadline ends. Its time grows with what is
//! in a component, and in two ways faster: with a function's local variables times the places where its paths part and meet, and
//! with the square of the depth of its blocks. The bounds are five to ten times what SpiderMonkey has, compiled to WebAssembly
//! (componentize-js 0.19: 20,000 functions of up to 172 KB, 483 local variables, 480,000 and in all 7,800,000 variables times
//! branches, 650 blocks in each other).

use anyhow::{Result, bail};
use wasmparser::{FunctionBody, Operator, Parser, Payload};

/// The most functions, of all modules of a component together.
const MOST_FUNCTIONS: usize = 100_000;

/// The longest function, in bytes.
const LONGEST_FUNCTION: usize = 1 << 20;

/// The most local variables of a function, its parameters left out.
const MOST_LOCALS: usize = 5000;

/// The most local variables of a function times its branches, and of all functions together.
const MOST_JOINS: usize = 4 << 20;
const MOST_JOINS_IN_ALL: usize = 64 << 20;

/// The most blocks in each other, and the depths of all blocks of all functions together.
const DEEPEST_BLOCK: usize = 10_000;
const MOST_DEPTH_IN_ALL: usize = 500_000_000;

/// The most modules and components in a component, and how deep they may be nested.
const MOST_MODULES: usize = 100;
const DEEPEST: usize = 16;

/// The most types, imports, exports, instances and the like, together.
const MOST_ITEMS: usize = 200_000;

/// Looks through a module or component. What is no WebAssembly is left to the compiler, which says so.
///
/// # Errors
/// When it is larger than what is compiled.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    let (mut functions, mut modules, mut depth, mut items) = (0_usize, 0_usize, 0_usize, 0_usize);
    let (mut joins_in_all, mut depth_in_all) = (0_usize, 0_usize);
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { return Ok(()) };
        match &payload {
            Payload::CodeSectionEntry(body) => {
                functions += 1;
                bounded("functions", functions, MOST_FUNCTIONS)?;
                let cost = check_function(body)?;
                joins_in_all = joins_in_all.saturating_add(cost.joins);
                depth_in_all = depth_in_all.saturating_add(cost.depths);
                bounded("local variables times branches in all", joins_in_all, MOST_JOINS_IN_ALL)?;
                bounded("levels of blocks in all", depth_in_all, MOST_DEPTH_IN_ALL)?;
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                modules += 1;
                depth += 1;
                bounded("modules and components", modules, MOST_MODULES)?;
                bounded("levels of components", depth, DEEPEST)?;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            other => {
                items = items.saturating_add(items_of(other));
                bounded("types, imports, exports and instances", items, MOST_ITEMS)?;
            }
        }
    }
    Ok(())
}

fn bounded(what: &str, number: usize, most: usize) -> Result<()> {
    if number > most {
        bail!("this component has over {most} {what}: that is too much to compile");
    }
    Ok(())
}

fn items_of(payload: &Payload<'_>) -> usize {
    let count = match payload {
        Payload::TypeSection(section) => section.count(),
        Payload::ImportSection(section) => section.count(),
        Payload::FunctionSection(section) => section.count(),
        Payload::TableSection(section) => section.count(),
        Payload::MemorySection(section) => section.count(),
        Payload::GlobalSection(section) => section.count(),
        Payload::ExportSection(section) => section.count(),
        Payload::ElementSection(section) => section.count(),
        Payload::DataSection(section) => section.count(),
        Payload::InstanceSection(section) => section.count(),
        Payload::CoreTypeSection(section) => section.count(),
        Payload::ComponentInstanceSection(section) => section.count(),
        Payload::ComponentAliasSection(section) => section.count(),
        Payload::ComponentTypeSection(section) => section.count(),
        Payload::ComponentCanonicalSection(section) => section.count(),
        Payload::ComponentImportSection(section) => section.count(),
        Payload::ComponentExportSection(section) => section.count(),
        _ => 0,
    };
    count as usize
}

/// What makes a function dear.
struct Cost {
    /// Local variables times branches.
    joins: usize,
    /// The sum of the depths of its blocks.
    depths: usize,
}

fn check_function(body: &FunctionBody<'_>) -> Result<Cost> {
    let length = body.range().len();
    if length > LONGEST_FUNCTION {
        bail!("this component has a function of {length} bytes, at most {LONGEST_FUNCTION} are compiled");
    }
    let mut locals = 0_usize;
    if let Ok(groups) = body.get_locals_reader() {
        for (count, _) in groups.into_iter().flatten() {
            locals = locals.saturating_add(count as usize);
        }
    }
    if locals > MOST_LOCALS {
        bail!(
            "this component has a function with {locals} local variables, at most {MOST_LOCALS} are compiled"
        );
    }
    let (mut branches, mut depth, mut depths) = (1_usize, 0_usize, 0_usize);
    if let Ok(operators) = body.get_operators_reader() {
        for operator in operators {
            match operator {
                Ok(Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. }) => {
                    branches += 1;
                    depth += 1;
                    depths = depths.saturating_add(depth);
                    bounded("blocks in each other", depth, DEEPEST_BLOCK)?;
                }
                Ok(Operator::End) => depth = depth.saturating_sub(1),
                Ok(Operator::Else | Operator::Br { .. } | Operator::BrIf { .. }) => branches += 1,
                Ok(Operator::BrTable { targets }) => branches += targets.len() as usize + 1,
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    let joins = locals.saturating_mul(branches);
    if joins > MOST_JOINS {
        bail!(
            "this component has a function with {locals} local variables and {branches} branches, too many to compile \
             (at most {MOST_JOINS} when multiplied)"
        );
    }
    Ok(Cost { joins, depths })
}
